/* See bench.h. The simulation handles one event at a time, the earliest first. At one instant passengers come before
 * cars, and cars come in their order. After each event the calls are assigned, and idle cars may depart. A car that
 * reaches a floor decides by the previous assignment.
 *
 * With loss each node has a view of its own. For each call a view has the numbers of the last known press and of the
 * last served press. Both merge by maximum, as the replicated set does. Every BROADCAST_MS each node sends its whole
 * view to each other node.
 */
#include "bench.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "motion.h"

enum {
    BROADCAST_MS = 100,
    YIELD_MS = 900, /* nine broadcasts: other cars leave a new call to an open door at its floor for this time */
    GIVE_UP_MS = 36000000, /* 10 h after the last passenger came: the passengers never arrive */
    ROUNDS_MAX = 4,        /* of assigning and acting at one instant: an assignment that never settles ends here */
    NOBODY = -1,
    SIXTEENTHS = 16, /* of a person: the unit of counts */
};

static const int64_t NEVER = INT64_MAX;

struct car {
    int floor, direction, behaviour;
    int64_t next_at_ms; /* its next event */
    int64_t opened_at_ms, idle_at_ms; /* the start of its last stop, and of its last rest */
    bool announced;
    uint64_t cab;
    struct assign_share share;
    uint64_t full[2]; /* bit of the floor where a queue found no room; down and up */
    int target;       /* the floor where it should wait, -1 if it is busy or may stay */
    int load;
    int riders[ASSIGN_MAX_FLOORS]; /* the first passenger to each floor */
    struct bench_learned learned;
};

/* What a node knows. */
struct view {
    struct assign_car cars[ASSIGN_MAX_CARS];
    struct assign_share claims[ASSIGN_MAX_CARS];
    struct plan_rates learned[ASSIGN_MAX_CARS];
    struct plan_rates rates; /* the sum of what all have learned */
    int64_t pressed[2][ASSIGN_MAX_FLOORS], served[2][ASSIGN_MAX_FLOORS];
    int64_t since_ms[2][ASSIGN_MAX_FLOORS];
    uint64_t hall[2];
};

struct passenger {
    int next; /* in the queue at a floor, or among the riders to a floor */
};

struct group {
    const struct bench_config *config;
    const struct bench_trip *trips;
    int64_t *waits_ms, *journeys_ms;
    struct bench_counts *counts;
    struct passenger *passengers;
    struct view *views;
    int view_count;
    struct assign_params params;
    struct car cars[ASSIGN_MAX_CARS];
    int queue[2][ASSIGN_MAX_FLOORS];
    int owner[2][ASSIGN_MAX_FLOORS];
    int64_t now_ms, presses, park_at_ms, broadcast_at_ms;
    uint64_t random;
    int waiting, riding;
};

static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void bench_learn(struct bench_learned *learned, const struct bench_learning *learning, int floors, int floor,
                 int direction, int64_t age_ms, int rate, int64_t now_ms)
{
    int64_t total = 0;
    learned->people[direction == UP][floor] += SIXTEENTHS + (SIXTEENTHS * rate * age_ms >> PLAN_RATE_SHIFT);
    for (int f = 0; f < floors; f++)
        total += learned->people[0][f] + learned->people[1][f];
    if (total <= (int64_t)SIXTEENTHS * learning->people_max)
        return;
    learned->since_ms = now_ms - (now_ms - learned->since_ms) / 2;
    for (int f = 0; f < floors; f++) {
        learned->people[0][f] /= 2;
        learned->people[1][f] /= 2;
    }
}

static int rate_of(int64_t people, int64_t span_ms, int rate_max)
{
    int64_t rate = (people << PLAN_RATE_SHIFT) / SIXTEENTHS / span_ms;
    return rate < rate_max ? (int)rate : rate_max;
}

void bench_learned_rates(const struct bench_learned *learned, const struct bench_learning *learning, int floors,
                         int64_t now_ms, struct plan_rates *rates)
{
    int64_t span_ms = now_ms - learned->since_ms + learning->prior_ms;
    for (int f = 0; f < floors; f++) {
        rates->down[f] = rate_of(learned->people[0][f], span_ms, learning->rate_max);
        rates->up[f] = rate_of(learned->people[1][f], span_ms, learning->rate_max);
    }
}

static struct view *view_of(struct group *g, int car)
{
    return &g->views[g->view_count == 1 ? 0 : car];
}

static void set_lit(struct view *view, int way, int floor)
{
    uint64_t here = motion_bit(floor);
    bool lit = view->pressed[way][floor] > view->served[way][floor];
    view->hall[way] = lit ? view->hall[way] | here : view->hall[way] & ~here;
}

static void press(struct group *g, struct view *view, int way, int floor)
{
    if ((view->hall[way] >> floor & 1) != 0)
        return;
    view->pressed[way][floor] = ++g->presses;
    view->since_ms[way][floor] = g->now_ms;
    set_lit(view, way, floor);
    if (g->view_count == 1)
        g->owner[way][floor] = NOBODY;
}

static void serve_call(struct group *g, int k, int way, int floor)
{
    struct view *view = view_of(g, k);
    struct car *car = &g->cars[k];
    const int floors = g->config->floors;
    int rate = way == 1 ? view->rates.up[floor] : view->rates.down[floor];
    int64_t age_ms = g->now_ms - view->since_ms[way][floor];
    view->served[way][floor] = view->pressed[way][floor];
    set_lit(view, way, floor);
    g->owner[way][floor] = NOBODY;
    const struct bench_learning *learning = &g->config->learning;
    bench_learn(&car->learned, learning, floors, floor, way == 1 ? UP : DOWN, age_ms, rate, g->now_ms);
    struct plan_rates *mine = &view->learned[k], before = *mine;
    bench_learned_rates(&car->learned, learning, floors, g->now_ms, mine);
    for (int f = 0; f < floors; f++) {
        view->rates.up[f] += mine->up[f] - before.up[f];
        view->rates.down[f] += mine->down[f] - before.down[f];
    }
}

/* The calls that *car* answers. */
static struct motion_work work_of(const struct car *car)
{
    return (struct motion_work){car->share.up, car->share.down, car->cab};
}

/* The work of car *k*, and all hall calls at its floor. */
static struct motion_work work_here(struct group *g, int k)
{
    const struct view *view = view_of(g, k);
    const struct car *car = &g->cars[k];
    uint64_t here = motion_bit(car->floor);
    return (struct motion_work){car->share.up | (view->hall[1] & here), car->share.down | (view->hall[0] & here),
                                car->cab};
}

static void unload(struct group *g, struct car *car)
{
    for (int passenger = car->riders[car->floor]; passenger != NOBODY; passenger = g->passengers[passenger].next) {
        g->journeys_ms[passenger] = g->now_ms - g->trips[passenger].at_ms;
        assert(car->load > 0 && g->riding > 0);
        car->load--;
        g->riding--;
    }
    car->riders[car->floor] = NOBODY;
    car->cab &= ~motion_bit(car->floor);
}

static void board(struct group *g, struct car *car, int way)
{
    int *queue = &g->queue[way][car->floor];
    while (*queue != NOBODY && (g->config->capacity == 0 || car->load < g->config->capacity)) {
        int passenger = *queue;
        int to = (int)g->trips[passenger].to;
        *queue = g->passengers[passenger].next;
        g->waits_ms[passenger] = g->now_ms - g->trips[passenger].at_ms;
        g->passengers[passenger].next = car->riders[to];
        car->riders[to] = passenger;
        car->cab |= motion_bit(to);
        car->load++;
        assert(g->waiting > 0);
        g->waiting--;
        g->riding++;
    }
    if (*queue != NOBODY)
        car->full[way] |= motion_bit(car->floor);
}

/* Serve the calls that an open door serves, by the rules of `serve` in act.py. */
static void serve_open_door(struct group *g, int k)
{
    struct car *car = &g->cars[k];
    struct motion_work all = work_here(g, k), mine = work_of(car);
    int direction = car->direction;
    if (g->now_ms >= car->opened_at_ms + g->config->door_extension_ms)
        return;
    if (!car->announced && !motion_has_work_beyond(car->floor, direction, &mine))
        direction = motion_announced(car->floor, direction, &all);
    uint64_t here = motion_bit(car->floor);
    bool has_hall = (motion_hall(direction, &all) & here) != 0, has_cab = (car->cab & here) != 0;
    if (!has_hall && !has_cab)
        return;
    car->direction = direction;
    car->next_at_ms = g->now_ms + ASSIGN_DOOR_MS;
    unload(g, car);
    if (!has_hall)
        return;
    car->announced = true;
    if ((view_of(g, k)->hall[direction == UP] & here) != 0)
        serve_call(g, k, direction == UP, car->floor);
    if (direction == UP)
        car->share.up &= ~here;
    else
        car->share.down &= ~here;
    board(g, car, direction == UP);
}

/* Passengers who found no room press again when the door closes. */
static void press_again(struct group *g, int k)
{
    struct car *car = &g->cars[k];
    for (int way = 0; way < 2; way++)
        if (car->full[way] != 0) {
            int floor = __builtin_ctzll(car->full[way]);
            car->full[way] = 0;
            if (g->queue[way][floor] != NOBODY)
                press(g, view_of(g, k), way, floor);
        }
}

static void depart(struct group *g, struct car *car, int direction)
{
    car->behaviour = ASSIGN_MOVING;
    car->direction = direction;
    car->next_at_ms = g->now_ms + ASSIGN_TRAVEL_MS;
}

/* Apply a decision made at a floor, as `go_on` in act.py does. */
static void apply(struct group *g, int k, struct motion_move next)
{
    struct car *car = &g->cars[k];
    bool arrives = car->behaviour == ASSIGN_MOVING;
    if (car->behaviour == ASSIGN_DOOR_OPEN)
        press_again(g, k);
    if (next.behaviour == ASSIGN_IDLE && arrives && car->target >= 0 && car->target != car->floor)
        next = (struct motion_move){ASSIGN_MOVING, car->target > car->floor ? UP : DOWN};
    switch (next.behaviour) {
    case ASSIGN_MOVING:
        g->counts->turns += arrives && next.direction != car->direction;
        depart(g, car, next.direction);
        break;
    case ASSIGN_IDLE:
        g->counts->turns += arrives && car->target < 0;
        car->behaviour = ASSIGN_IDLE;
        car->direction = next.direction;
        car->next_at_ms = NEVER;
        car->idle_at_ms = g->now_ms;
        break;
    default:
        car->behaviour = ASSIGN_DOOR_OPEN;
        car->direction = next.direction;
        car->announced = false;
        car->opened_at_ms = g->now_ms;
        car->next_at_ms = g->now_ms + ASSIGN_DOOR_MS;
        serve_open_door(g, k);
    }
}

static int64_t clock_ns(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void publish(struct group *g, struct view *view, int k)
{
    const struct car *car = &g->cars[k];
    view->cars[k] = (struct assign_car){car->behaviour, car->floor, car->direction, car->cab};
    view->claims[k] = car->share;
}

static void count_reassigned(struct group *g, int k, struct assign_share share)
{
    for (int way = 0; way < 2; way++)
        for (uint64_t calls = way == 1 ? share.up : share.down; calls != 0; calls &= calls - 1) {
            int *owner = &g->owner[way][__builtin_ctzll(calls)];
            g->counts->reassigned += *owner != NOBODY && *owner != k;
            *owner = k;
        }
}

static void assign(struct group *g, const struct view *view, struct assign_share *shares)
{
    const int n = g->config->cars;
    int64_t began_ns = clock_ns();
    int status;
    memset(shares, 0, (size_t)n * sizeof *shares);
    if ((view->hall[0] | view->hall[1]) == 0)
        return;
    if (g->config->assigner == BENCH_PLAN) {
        status = plan_assign(&g->params, view->hall[1], view->hall[0], view->cars, view->claims, n, &view->rates,
                             shares, NULL);
    } else {
        struct assign_car cars[ASSIGN_MAX_CARS];
        for (int k = 0; k < n; k++) {
            cars[k] = view->cars[k];
            if (cars[k].behaviour == ASSIGN_IDLE)
                cars[k].direction = STOP;
        }
        status = assign_reference(&g->params, view->hall[1], view->hall[0], cars, n, shares);
    }
    int64_t took_ns = clock_ns() - began_ns;
    assert(status == ASSIGN_OK);
    g->counts->decisions++;
    g->counts->decision_ns += took_ns;
    if (took_ns > g->counts->decision_ns_most)
        g->counts->decision_ns_most = took_ns;
}

static bool is_free(const struct car *car)
{
    return (car->cab | car->share.up | car->share.down) == 0 && car->behaviour != ASSIGN_DOOR_OPEN;
}

/* Choose where free cars wait. Send those there that have been idle for park_after_ms. */
static void park(struct group *g, const struct view *view, const struct assign_share *shares, int first, int last)
{
    const int n = g->config->cars;
    int targets[ASSIGN_MAX_CARS] = {0};
    bool any = false;
    for (int k = first; k <= last; k++) {
        g->cars[k].target = -1;
        any = any || is_free(&g->cars[k]);
    }
    if (!any || g->config->park == BENCH_PARK_NONE)
        return;
    if (g->config->park == BENCH_PARK_SPREAD) {
        int status = plan_park(&g->params, view->cars, shares, n, &view->rates, targets, NULL);
        assert(status == ASSIGN_OK);
    }
    for (int k = first; k <= last; k++) {
        struct car *car = &g->cars[k];
        if (!is_free(car))
            continue;
        car->target = targets[k];
        if (car->behaviour != ASSIGN_IDLE || car->target < 0 || car->target == car->floor)
            continue;
        int64_t due_ms = car->idle_at_ms + g->config->park_after_ms;
        if (due_ms <= g->now_ms)
            depart(g, car, car->target > car->floor ? UP : DOWN);
        else if (due_ms < g->park_at_ms)
            g->park_at_ms = due_ms;
    }
}

/* Drop new calls at floors where another car has its door open: that car probably serves them, and its broadcast is on
 * the way. Nodes need no such rule, because an open door publishes which calls it serves. */
static void drop_calls_at_open_doors(const struct group *g, const struct view *view, int k, struct assign_share *share)
{
    for (int i = 0; i < g->config->cars; i++) {
        const struct assign_car *other = &view->cars[i];
        if (i == k || other->behaviour != ASSIGN_DOOR_OPEN)
            continue;
        if (g->now_ms < view->since_ms[1][other->floor] + YIELD_MS)
            share->up &= ~motion_bit(other->floor);
        if (g->now_ms < view->since_ms[0][other->floor] + YIELD_MS)
            share->down &= ~motion_bit(other->floor);
    }
}

/* Drop the calls that others claim, except those at the floor of car *k*, by the rules of `claimed_before` in
 * assignment.py. */
static void drop_claimed(const struct group *g, const struct view *view, int k, struct assign_share *share)
{
    const struct assign_share *mine = &view->claims[k];
    const struct car *car = &g->cars[k];
    uint64_t elsewhere = ~(car->behaviour == ASSIGN_MOVING ? 0 : motion_bit(car->floor));
    for (int i = 0; i < g->config->cars; i++) {
        const struct assign_share *theirs = &view->claims[i];
        if (i == k)
            continue;
        share->up &= ~(theirs->up & elsewhere & (k < i ? ~mine->up : ~UINT64_C(0)));
        share->down &= ~(theirs->down & elsewhere & (k < i ? ~mine->down : ~UINT64_C(0)));
    }
}

/* Assign the calls of *view* and let its cars, *first* to *last*, act. */
static void act(struct group *g, struct view *view, int first, int last)
{
    struct assign_share shares[ASSIGN_MAX_CARS];
    bool again = true;
    for (int round = 0; again && round < ROUNDS_MAX; round++) {
        again = false;
        for (int k = first; k <= last; k++)
            publish(g, view, k);
        assign(g, view, shares);
        for (int k = first; k <= last; k++) {
            struct car *car = &g->cars[k];
            if (g->view_count > 1) {
                drop_claimed(g, view, k, &shares[k]);
                drop_calls_at_open_doors(g, view, k, &shares[k]);
            }
            car->share = shares[k];
            view->claims[k] = shares[k];
            count_reassigned(g, k, shares[k]);
        }
        for (int k = first; k <= last; k++) {
            struct car *car = &g->cars[k];
            uint64_t before = view->hall[0] ^ view->hall[1];
            if (car->behaviour == ASSIGN_DOOR_OPEN && ((view->hall[0] | view->hall[1]) >> car->floor & 1) != 0)
                serve_open_door(g, k);
            again = again || before != (view->hall[0] ^ view->hall[1]);
            if (car->behaviour != ASSIGN_IDLE)
                continue;
            struct motion_work work = work_of(car);
            struct motion_move next = motion_decide(car->floor, car->direction, &work, false);
            if (next.behaviour != ASSIGN_IDLE) {
                apply(g, k, next);
                again = true;
            }
        }
    }
    park(g, view, shares, first, last);
}

static void act_all(struct group *g)
{
    g->park_at_ms = NEVER;
    if (g->view_count == 1)
        act(g, g->views, 0, g->config->cars - 1);
    else
        for (int k = 0; k < g->config->cars; k++)
            act(g, &g->views[k], k, k);
}

static void receive(struct group *g, struct view *view, int sender)
{
    const struct view *theirs = &g->views[sender];
    view->cars[sender] = theirs->cars[sender];
    view->claims[sender] = theirs->claims[sender];
    for (int f = 0; f < g->config->floors; f++) {
        view->rates.up[f] += theirs->learned[sender].up[f] - view->learned[sender].up[f];
        view->rates.down[f] += theirs->learned[sender].down[f] - view->learned[sender].down[f];
    }
    view->learned[sender] = theirs->learned[sender];
    for (int way = 0; way < 2; way++)
        for (int f = 0; f < g->config->floors; f++) {
            if (theirs->pressed[way][f] > view->pressed[way][f]) {
                view->pressed[way][f] = theirs->pressed[way][f];
                view->since_ms[way][f] = theirs->since_ms[way][f];
            }
            if (theirs->served[way][f] > view->served[way][f])
                view->served[way][f] = theirs->served[way][f];
            set_lit(view, way, f);
        }
}

static void sample_claims(struct group *g)
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

static bool is_open(const struct group *g, int floor)
{
    for (int k = 0; k < g->config->cars; k++)
        if (g->cars[k].behaviour == ASSIGN_DOOR_OPEN && g->cars[k].floor == floor)
            return true;
    return false;
}

/* Passengers in a queue press again if their lamp is dark. It was lit for an earlier passenger. */
static void press_where_dark(struct group *g)
{
    for (int way = 0; way < 2; way++)
        for (int floor = 0; floor < g->config->floors; floor++) {
            int passenger = g->queue[way][floor];
            if (passenger != NOBODY && !is_open(g, floor))
                press(g, &g->views[passenger % g->config->cars], way, floor);
        }
}

static void broadcast(struct group *g)
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

static void add_passenger(struct group *g, int passenger)
{
    const struct bench_trip *trip = &g->trips[passenger];
    int way = trip->to > trip->from, floor = (int)trip->from;
    int *queue = &g->queue[way][floor];
    while (*queue != NOBODY)
        queue = &g->passengers[*queue].next;
    *queue = passenger;
    g->passengers[passenger].next = NOBODY;
    g->waiting++;
    for (int k = 0; k < g->config->cars; k++)
        if ((g->cars[k].full[way] >> floor & 1) != 0)
            return; /* A full car is here. The passenger presses when its door closes. */
    int panel = g->view_count == 1 ? 0 : passenger % g->config->cars;
    press(g, &g->views[panel], way, floor);
    for (int k = 0; k < g->config->cars; k++) {
        const struct car *car = &g->cars[k];
        bool lit = (view_of(g, k)->hall[way] >> floor & 1) != 0;
        if (lit && car->behaviour == ASSIGN_DOOR_OPEN && car->floor == floor)
            serve_open_door(g, k);
    }
}

static void run_car(struct group *g, int k)
{
    struct car *car = &g->cars[k];
    bool departing = car->behaviour == ASSIGN_DOOR_OPEN;
    if (!departing) {
        assert(car->behaviour == ASSIGN_MOVING);
        car->floor += car->direction;
        assert(0 <= car->floor && car->floor < g->config->floors);
        g->counts->floors_moved++;
    }
    struct motion_work work = departing ? work_here(g, k) : work_of(car);
    apply(g, k, motion_decide(car->floor, car->direction, &work, departing));
}

/* Whether all passengers have reached their floors. */
static bool is_over(const struct group *g)
{
    return g->waiting == 0 && g->riding == 0;
}

static bool simulate(struct group *g, int count)
{
    int64_t end_ms = g->trips[count - 1].at_ms + GIVE_UP_MS;
    for (int next = 0; next < count || !is_over(g);) {
        int64_t at_ms = next < count ? g->trips[next].at_ms : NEVER;
        int due = -1;
        for (int k = 0; k < g->config->cars; k++)
            if (g->cars[k].next_at_ms < at_ms) {
                at_ms = g->cars[k].next_at_ms;
                due = k;
            }
        int64_t other_ms = g->park_at_ms < g->broadcast_at_ms ? g->park_at_ms : g->broadcast_at_ms;
        g->now_ms = other_ms < at_ms ? other_ms : at_ms;
        if (g->now_ms > end_ms)
            return false;
        if (other_ms < at_ms) {
            if (other_ms == g->broadcast_at_ms)
                broadcast(g);
        } else if (due >= 0) {
            run_car(g, due);
        } else {
            add_passenger(g, next++);
        }
        act_all(g);
    }
    return true;
}

static void initialize(struct group *g)
{
    const int n = g->config->cars;
    memset(g->queue, 0xff, sizeof g->queue); /* NOBODY */
    memset(g->owner, 0xff, sizeof g->owner);
    for (int k = 0; k < n; k++) {
        struct car *car = &g->cars[k];
        car->next_at_ms = NEVER;
        car->direction = DOWN;
        car->target = -1;
        memset(car->riders, 0xff, sizeof car->riders);
        for (int view = 0; view < g->view_count; view++)
            publish(g, &g->views[view], k);
    }
    g->park_at_ms = 0;
    g->broadcast_at_ms = g->view_count == 1 ? NEVER : BROADCAST_MS;
}

bool bench_run(const struct bench_config *config, const struct bench_trip *trips, int count, int64_t *waits_ms,
               int64_t *journeys_ms, struct bench_counts *counts)
{
    bool done = false;
    struct group *g = calloc(1, sizeof *g);
    int view_count = config->loss < 0 ? 1 : config->cars;
    struct view *views = calloc((size_t)view_count, sizeof *views);
    struct passenger *passengers = calloc((size_t)count, sizeof *passengers);
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
        g->params = (struct assign_params){config->floors, ASSIGN_DOOR_MS, ASSIGN_TRAVEL_MS, false, false};
        g->random = config->seed;
        initialize(g);
        done = simulate(g, count);
    }
    free(passengers);
    free(views);
    free(g);
    return done;
}
