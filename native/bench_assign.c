/* Assigns calls to simulated cars and parks idle cars, by the rules of elevator/core/assignment.py. */
#include <assert.h>
#include <string.h>
#include <time.h>

#include "bench_group.h"

static int64_t clock_ns(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void count_reassigned(struct bench_group *g, int k, struct assign_share share)
{
    for (int way = 0; way < 2; way++)
        for (uint64_t calls = way == 1 ? share.up : share.down; calls != 0; calls &= calls - 1) {
            int *owner = &g->owner[way][__builtin_ctzll(calls)];
            g->counts->reassigned += *owner != BENCH_NOBODY && *owner != k;
            *owner = k;
        }
}

/* Combine the long waits that the cars have published, as `waited_by_all` in assignment.py does. */
static struct plan_waited waited_by_all(const struct bench_view *view, int n)
{
    struct plan_waited all = {0};
    for (int k = 0; k < n; k++)
        for (int age = 0; age < PLAN_AGES; age++) {
            all.calls[age].up |= view->waited[k].calls[age].up;
            all.calls[age].down |= view->waited[k].calls[age].down;
        }
    return all;
}

/* Assign the calls *up* and *down* to all cars with the configured assigner, and count the time that it takes. */
static void plan(struct bench_group *g, const struct bench_view *view, uint64_t up, uint64_t down,
                 struct assign_share *shares)
{
    const int n = g->config->cars;
    int64_t began_ns = clock_ns();
    int status = ASSIGN_OK;
    struct plan_waited waited;
    memset(shares, 0, (size_t)n * sizeof *shares);
    if ((up | down) == 0)
        return;
    switch (g->config->assigner) {
    case BENCH_PLAN:
        waited = waited_by_all(view, n);
        status = plan_assign(&g->params, up, down, view->cars, view->claims, n, &view->rates, &waited, shares, NULL);
        break;
    case BENCH_ETA:
        bench_assign_eta(&g->params, view, n, up, down, shares);
        break;
    case BENCH_LQF:
        bench_assign_lqf(view, n, up, down, shares);
        break;
    case BENCH_NEAREST:
        bench_assign_nearest(view, n, g->config->floors, up, down, shares);
        break;
    default: {
        struct assign_car cars[ASSIGN_MAX_CARS];
        for (int k = 0; k < n; k++) {
            cars[k] = view->cars[k];
            if (cars[k].behaviour == ASSIGN_IDLE)
                cars[k].direction = STOP;
        }
        status = assign_reference(&g->params, up, down, cars, n, shares);
    }
    }
    int64_t took_ns = clock_ns() - began_ns;
    assert(status == ASSIGN_OK);
    g->counts->decisions++;
    g->counts->decision_ns += took_ns;
    if (took_ns > g->counts->decision_ns_most)
        g->counts->decision_ns_most = took_ns;
}

/* Find the lit calls that each car may serve through its open door, as `served_by_open_doors` does. */
static void find_on_the_spot(const struct bench_view *view, int n, struct assign_share *served)
{
    uint64_t up = 0, down = 0;
    for (int k = 0; k < n; k++) {
        const struct assign_car *car = &view->cars[k];
        const struct motion_work work = {view->claims[k].up, view->claims[k].down, car->cab};
        uint64_t here = car->behaviour == ASSIGN_DOOR_OPEN ? motion_bit(car->floor) : 0;
        bool may_turn = !view->announced[k] && !motion_has_work_beyond(car->floor, car->direction, &work);
        served[k].up = may_turn || car->direction == UP ? here & view->hall[1] & ~up : 0;
        served[k].down = may_turn || car->direction == DOWN ? here & view->hall[0] & ~down : 0;
        up |= served[k].up;
        down |= served[k].down;
    }
}

/* Drop the calls that other cars claim, as `claimed_by_others` does. */
static void drop_claimed(const struct bench_view *view, int n, int k, struct assign_share *share)
{
    const struct assign_share *mine = &view->claims[k];
    const struct assign_car *car = &view->cars[k];
    uint64_t elsewhere = ~(car->behaviour == ASSIGN_MOVING ? 0 : motion_bit(car->floor));
    for (int i = 0; i < n; i++) {
        const struct assign_share *theirs = &view->claims[i];
        if (i == k)
            continue;
        share->up &= ~(theirs->up & elsewhere & (k < i ? ~mine->up : ~UINT64_C(0)));
        share->down &= ~(theirs->down & elsewhere & (k < i ? ~mine->down : ~UINT64_C(0)));
    }
}

/* Update which lit calls have waited long according to *view*, as `assign` in assignment.py does. Note when the next
 * update is due. */
static void update_waited(struct bench_group *g, const struct bench_view *view, struct bench_car *car)
{
    if (g->now_ms >= car->waited_at_ms + g->config->ages_every_ms)
        car->waited_at_ms = g->now_ms;
    if ((view->hall[0] | view->hall[1]) != 0)
        bench_note_due(g, car->waited_at_ms + g->config->ages_every_ms);
    for (int age = 0; age < PLAN_AGES; age++)
        for (int way = 0; way < 2; way++) {
            uint64_t *calls = way == 1 ? &car->waited.calls[age].up : &car->waited.calls[age].down;
            *calls = 0;
            for (uint64_t lit = view->hall[way]; lit != 0; lit &= lit - 1)
                if (car->waited_at_ms >= view->since_ms[way][__builtin_ctzll(lit)] + (age + 1) * PLAN_AGE_MS)
                    *calls |= lit & -lit;
        }
}

/* Update which lit calls have starved, and note when the next one will. *claimed* are the calls that a car claims. */
static void update_waits(struct bench_group *g, struct bench_view *view, const uint64_t claimed[2])
{
    const int64_t rounds_ms = g->config->starved_ms + (int64_t)4 * (g->config->floors - 1) * ASSIGN_TRAVEL_MS;
    for (int way = 0; way < 2; way++)
        for (uint64_t calls = view->hall[way] & ~view->starved[way]; calls != 0; calls &= calls - 1) {
            int floor = __builtin_ctzll(calls);
            int64_t *unclaimed_since_ms = &view->unclaimed_since_ms[way][floor];
            int64_t starves_at_ms = view->since_ms[way][floor] + rounds_ms;
            if ((claimed[way] >> floor & 1) != 0)
                *unclaimed_since_ms = BENCH_NEVER;
            else if (*unclaimed_since_ms == BENCH_NEVER)
                *unclaimed_since_ms = g->now_ms;
            if (*unclaimed_since_ms != BENCH_NEVER && *unclaimed_since_ms + g->config->unclaimed_ms < starves_at_ms)
                starves_at_ms = *unclaimed_since_ms + g->config->unclaimed_ms;
            if (g->now_ms >= starves_at_ms)
                view->starved[way] |= motion_bit(floor);
            bench_note_due(g, starves_at_ms);
        }
}

static bool is_free(const struct assign_car *car, const struct assign_share *share)
{
    return (car->cab | share->up | share->down) == 0 && car->behaviour != ASSIGN_DOOR_OPEN;
}

/* Set the targets of the cars from *first* to *last*: the floor where a free car waits, and -1 for the others. *shares*
 * must contain all lit calls, also those that open doors serve. */
static void park(struct bench_group *g, const struct bench_view *view, const struct assign_share *shares, int first,
                 int last)
{
    const int n = g->config->cars;
    int targets[ASSIGN_MAX_CARS] = {0};
    bool any = false;
    for (int k = first; k <= last; k++) {
        g->cars[k].target = -1;
        any = any || is_free(&view->cars[k], &shares[k]);
    }
    if (!any || g->config->park == BENCH_PARK_NONE)
        return;
    if (g->config->park != BENCH_PARK_LOBBY) {
        bool sparing = g->config->park == BENCH_PARK_SPARING;
        int status = plan_park(&g->params, view->cars, shares, n, &view->rates, sparing, targets, NULL);
        assert(status == ASSIGN_OK);
    }
    for (int k = first; k <= last; k++)
        if (is_free(&view->cars[k], &shares[k]))
            g->cars[k].target = targets[k];
}

void bench_assign(struct bench_group *g, struct bench_view *view, int first, int last)
{
    const int n = g->config->cars;
    struct assign_share served[ASSIGN_MAX_CARS], shares[ASSIGN_MAX_CARS];
    uint64_t up = view->hall[1], down = view->hall[0], claimed[2] = {0, 0};
    find_on_the_spot(view, n, served);
    for (int k = 0; k < n; k++) {
        up &= ~served[k].up;
        down &= ~served[k].down;
    }
    plan(g, view, up, down, shares);
    for (int k = 0; k < n; k++) {
        struct assign_share share = view->claims[k];
        if (first <= k && k <= last) {
            share = shares[k];
            if (g->view_count > 1) /* With a single view, claims change at once. */
                drop_claimed(view, n, k, &share);
            share.up |= served[k].up;
            share.down |= served[k].down;
            g->cars[k].share = share;
            count_reassigned(g, k, share);
        }
        claimed[1] |= share.up;
        claimed[0] |= share.down;
    }
    if (g->config->assigner != BENCH_LQF) /* LQF leaves calls without a car. */
        update_waits(g, view, claimed);
    for (int k = first; k <= last; k++) {
        update_waited(g, view, &g->cars[k]);
        g->cars[k].share.up |= view->starved[1];
        g->cars[k].share.down |= view->starved[0];
    }
    if (up != view->hall[1] || down != view->hall[0])
        plan(g, view, view->hall[1], view->hall[0], shares);
    park(g, view, shares, first, last);
}
