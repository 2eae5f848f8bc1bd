/* See bench.h. The simulation handles one event at a time, the earliest first. At the same instant, passengers come
 * first, and then the cars in their order. After each event every node takes steps, as in elevator/core/step.py: it
 * assigns the calls, then its car acts. If a step changes what the node publishes, another step follows.
 *
 * Unless the loss is -1, each node has its own view. For each call, a view contains the numbers of the last known press
 * and of the last served press. Both merge by maximum. Every BROADCAST_MS each node sends these numbers and the state
 * of its car to each other node. Real nodes send twice as often, and at once after a change.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bench_group.h"

enum {
    BROADCAST_MS = 100,
    GIVE_UP_MS = 36000000, /* 10 h after the last passenger came, the simulation gives up */
    STEPS_MAX = 4,         /* of a node at one instant; the assignment may never settle */
};

static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void bench_update_lamp(const struct bench_group *g, struct bench_view *view, int way, int floor)
{
    uint64_t here = motion_bit(floor);
    bool was_lit = (view->hall[way] & here) != 0, is_lit = view->pressed[way][floor] > view->served[way][floor];
    if (is_lit == was_lit)
        return;
    view->hall[way] ^= here;
    view->starved[way] &= ~here;
    view->since_ms[way][floor] = g->now_ms;
    view->unclaimed_since_ms[way][floor] = BENCH_NEVER;
}

void bench_press(struct bench_group *g, struct bench_view *view, int way, int floor)
{
    if ((view->hall[way] >> floor & 1) != 0)
        return;
    view->pressed[way][floor] = ++g->presses;
    bench_update_lamp(g, view, way, floor);
    if (g->view_count == 1)
        g->owner[way][floor] = BENCH_NOBODY;
}

static void publish(struct bench_group *g, struct bench_view *view, int k)
{
    const struct bench_car *car = &g->cars[k];
    view->cars[k] = (struct assign_car){car->behaviour, car->floor, car->direction, car->cab};
    view->announced[k] = car->announced;
    view->claims[k] = car->share;
    view->waited[k] = car->waited;
}

static bool is_same(const struct assign_car *a, const struct assign_car *b)
{
    return a->behaviour == b->behaviour && a->floor == b->floor && a->direction == b->direction && a->cab == b->cab;
}

/* Let the nodes of cars *first* to *last*, which share *view*, take their steps. */
static void step(struct bench_group *g, struct bench_view *view, int first, int last)
{
    bool has_news = true;
    for (int k = first; k <= last; k++)
        publish(g, view, k);
    for (int n = 0; has_news && n < STEPS_MAX; n++) {
        uint64_t up = view->hall[1], down = view->hall[0];
        bench_assign(g, view, first, last);
        for (int k = first; k <= last; k++)
            bench_act(g, k);
        has_news = up != view->hall[1] || down != view->hall[0];
        for (int k = first; k <= last; k++) {
            struct assign_car car = view->cars[k];
            struct assign_share claims = view->claims[k];
            struct plan_waited waited = view->waited[k];
            publish(g, view, k);
            has_news = has_news || !is_same(&car, &view->cars[k]) || claims.up != view->claims[k].up ||
                       claims.down != view->claims[k].down || memcmp(&waited, &view->waited[k], sizeof waited) != 0;
        }
    }
}

static void step_all(struct bench_group *g)
{
    g->due_at_ms = BENCH_NEVER;
    if (g->view_count == 1)
        step(g, g->views, 0, g->config->cars - 1);
    else
        for (int k = 0; k < g->config->cars; k++)
            step(g, &g->views[k], k, k);
}

static void receive(struct bench_group *g, struct bench_view *view, int sender)
{
    const struct bench_view *theirs = &g->views[sender];
    view->cars[sender] = theirs->cars[sender];
    view->announced[sender] = theirs->announced[sender];
    view->claims[sender] = theirs->claims[sender];
    view->waited[sender] = theirs->waited[sender];
    for (int f = 0; f < g->config->floors; f++) {
        view->rates.up[f] += theirs->learned[sender].up[f] - view->learned[sender].up[f];
        view->rates.down[f] += theirs->learned[sender].down[f] - view->learned[sender].down[f];
    }
    view->learned[sender] = theirs->learned[sender];
    for (int way = 0; way < 2; way++)
        for (int f = 0; f < g->config->floors; f++) {
            if (theirs->pressed[way][f] > view->pressed[way][f])
                view->pressed[way][f] = theirs->pressed[way][f];
            if (theirs->served[way][f] > view->served[way][f])
                view->served[way][f] = theirs->served[way][f];
            bench_update_lamp(g, view, way, f);
        }
}

static void sample_claims(struct bench_group *g)
{
    uint64_t lit[2] = {0, 0};
    for (int k = 0; k < g->config->cars; k++)
        for (int way = 0; way < 2; way++)
            lit[way] |= g->views[k].hall[way];
    for (int way = 0; way < 2; way++)
        for (; lit[way] != 0; lit[way] &= lit[way] - 1) {
            int floor = __builtin_ctzll(lit[way]), claims = 0;
            for (int k = 0; k < g->config->cars; k++) {
                const struct assign_share *share = &g->cars[k].share;
                claims += (int)((way == 1 ? share->up : share->down) >> floor & 1);
            }
            g->counts->samples++;
            g->counts->unclaimed += claims == 0;
            g->counts->claimed_twice += claims > 1;
        }
}

static bool is_open(const struct bench_group *g, int floor)
{
    for (int k = 0; k < g->config->cars; k++)
        if (g->cars[k].behaviour == ASSIGN_DOOR_OPEN && g->cars[k].floor == floor)
            return true;
    return false;
}

/* Let the first passenger of each queue press again, except at an open door. A press at a lit lamp has no effect. */
static void press_where_dark(struct bench_group *g)
{
    for (int way = 0; way < 2; way++)
        for (int floor = 0; floor < g->config->floors; floor++) {
            int passenger = g->queue[way][floor];
            if (passenger != BENCH_NOBODY && !is_open(g, floor))
                bench_press(g, &g->views[passenger % g->config->cars], way, floor);
        }
}

/* Let each node send to each other node. Just before, sample the claims and let waiting passengers press again. */
static void broadcast(struct bench_group *g)
{
    const int n = g->config->cars;
    sample_claims(g);
    press_where_dark(g);
    g->broadcast_at_ms += BROADCAST_MS;
    for (int sender = 0; sender < n; sender++)
        for (int receiver = 0; receiver < n; receiver++)
            if (sender != receiver && draw(&g->random) % 100 >= (uint64_t)g->config->loss)
                receive(g, &g->views[receiver], sender);
}

static void add_passenger(struct bench_group *g, int passenger)
{
    const struct bench_trip *trip = &g->trips[passenger];
    int way = trip->to > trip->from, floor = (int)trip->from;
    int *queue = &g->queue[way][floor];
    while (*queue != BENCH_NOBODY)
        queue = &g->passengers[*queue].next;
    *queue = passenger;
    g->passengers[passenger].next = BENCH_NOBODY;
    g->waiting++;
    for (int k = 0; k < g->config->cars; k++)
        if ((g->cars[k].full[way] >> floor & 1) != 0)
            return; /* A full car is here. The passenger presses when its door closes. */
    int panel = g->view_count == 1 ? 0 : passenger % g->config->cars;
    bench_press(g, &g->views[panel], way, floor);
}

static void reach_floor(struct bench_group *g, struct bench_car *car)
{
    car->floor += car->direction;
    car->behaviour = ASSIGN_IDLE;
    car->is_arriving = true;
    assert(0 <= car->floor && car->floor < g->config->floors);
    g->counts->floors_moved++;
}

/* Return whether all passengers have reached their floors. */
static bool is_over(const struct bench_group *g)
{
    return g->waiting == 0 && g->riding == 0;
}

static bool simulate(struct bench_group *g, int count)
{
    int64_t end_ms = g->trips[count - 1].at_ms + GIVE_UP_MS;
    for (int next = 0; next < count || !is_over(g);) {
        int64_t at_ms = next < count ? g->trips[next].at_ms : BENCH_NEVER;
        int due = -1;
        for (int k = 0; k < g->config->cars; k++)
            if (g->cars[k].next_at_ms < at_ms) {
                at_ms = g->cars[k].next_at_ms;
                due = k;
            }
        int64_t other_ms = g->due_at_ms < g->broadcast_at_ms ? g->due_at_ms : g->broadcast_at_ms;
        g->now_ms = other_ms < at_ms ? other_ms : at_ms;
        if (g->now_ms > end_ms)
            return false;
        if (other_ms < at_ms) {
            if (other_ms == g->broadcast_at_ms)
                broadcast(g);
        } else if (due >= 0) {
            if (g->cars[due].behaviour == ASSIGN_MOVING)
                reach_floor(g, &g->cars[due]);
        } else {
            add_passenger(g, next++);
        }
        step_all(g);
    }
    return true;
}

static void initialize(struct bench_group *g)
{
    const int n = g->config->cars;
    memset(g->queue, 0xff, sizeof g->queue); /* BENCH_NOBODY */
    memset(g->owner, 0xff, sizeof g->owner);
    for (int k = 0; k < n; k++) {
        struct bench_car *car = &g->cars[k];
        car->next_at_ms = BENCH_NEVER;
        car->direction = car->heading = DOWN;
        car->target = -1;
        memset(car->riders, 0xff, sizeof car->riders);
        for (int view = 0; view < g->view_count; view++)
            publish(g, &g->views[view], k);
    }
    g->due_at_ms = 0;
    g->broadcast_at_ms = g->view_count == 1 ? BENCH_NEVER : BROADCAST_MS;
}

bool bench_run(const struct bench_config *config, const struct bench_trip *trips, int count, int64_t *waits_ms,
               int64_t *journeys_ms, struct bench_counts *counts)
{
    bool done = false;
    struct bench_group *g = calloc(1, sizeof *g);
    int view_count = config->loss < 0 ? 1 : config->cars;
    struct bench_view *views = calloc((size_t)view_count, sizeof *views);
    struct bench_passenger *passengers = calloc((size_t)count, sizeof *passengers);
    memset(counts, 0, sizeof *counts);
    if (g != NULL && views != NULL && passengers != NULL) {
        g->config = config;
        g->trips = trips;
        g->waits_ms = waits_ms;
        g->journeys_ms = journeys_ms;
        g->counts = counts;
        g->passengers = passengers;
        g->views = views;
        g->view_count = view_count;
        g->params = (struct assign_params){config->floors, config->times.stop_ms, config->times.pass_ms, false, false};
        g->random = config->seed;
        initialize(g);
        done = simulate(g, count);
    }
    free(passengers);
    free(views);
    free(g);
    return done;
}
