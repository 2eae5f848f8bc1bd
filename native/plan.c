/* The plan-cost assigner: it minimises the cost (plan_cost.h), summed over all cars, plus the two penalties below.
 *
 * Up to EXACT calls, the search is exact, over all subsets. With more calls, it is a local search that moves one call
 * or swaps two, and ends after WORK_MAX steps. It starts twice: from the claims, and from cheapest insertion. Among
 * choices of equal cost the first wins, so that every node finds the same answer.
 *
 * - A claimed call costs HYSTERESIS_MS more with any other car. A smaller gain is not worth turning a car round. The
 *   penalty does not grow with the age of the call, so an old call moves to another car for a smaller gain. A
 *   claim does not count while the car's door is obstructed, because the obstruction can last.
 * - If a car stands idle at the floor of a call, the call costs STANDING_MS more with any other car. Another car may
 *   pass soon and save a trip, but a passenger in front of a closed door does not understand that.
 */
#include "plan.h"

#include <assert.h>
#include <string.h>

#include "plan_cost.h"

enum {
    NO_CAR = -1,
    EXACT = 6,
    CALLS_MAX = 2 * ASSIGN_MAX_FLOORS,
    HYSTERESIS_MS = 2000,
    STANDING_MS = 4000,
    WORK_MAX = 300000, /* steps of simulated cars, for the search */
};

static_assert(1 << EXACT <= UINT8_MAX + 1, "a set of calls fits uint8_t");

struct call {
    int floor, direction;
    int claimed;  /* the car that claims it, or NO_CAR */
    int standing; /* an idle car at its floor, or NO_CAR */
};

/* The calls to assign. The cars and rates are in *common*. */
struct problem {
    struct plan_problem common;
    struct call calls[CALLS_MAX];
    int count;
};

/* Return *share* with call *j* added, or removed if *share* contains it. */
static struct assign_share toggled(const struct problem *p, struct assign_share share, int j)
{
    assert(0 <= j && j < p->count);
    uint64_t here = motion_bit(p->calls[j].floor);
    if (p->calls[j].direction == UP)
        share.up ^= here;
    else
        share.down ^= here;
    return share;
}

/* Return the penalties for assigning call *j* to car *k* if another car claims the call or stands at its floor. */
static int64_t penalty(const struct problem *p, int j, int k)
{
    int claimed = p->calls[j].claimed, standing = p->calls[j].standing;
    int64_t claimed_ms = claimed != NO_CAR && claimed != k ? HYSTERESIS_MS : 0;
    int64_t standing_ms = standing != NO_CAR && standing != k ? STANDING_MS : 0;
    return PLAN_COST * PLAN_SCENARIOS * (claimed_ms + standing_ms);
}

static void list_calls(struct problem *p, uint64_t up, uint64_t down, const struct assign_share *claims)
{
    p->count = 0;
    for (int floor = 0; floor < p->common.params->floors; floor++)
        for (int direction = UP; direction >= DOWN; direction -= 2) {
            uint64_t here = motion_bit(floor);
            if (((direction == UP ? up : down) & here) == 0)
                continue;
            assert(p->count < CALLS_MAX);
            struct call *call = &p->calls[p->count++];
            *call = (struct call){floor, direction, NO_CAR, NO_CAR};
            for (int k = 0; k < p->common.n && call->claimed == NO_CAR; k++)
                if (((direction == UP ? claims[k].up : claims[k].down) & here) != 0 &&
                    p->common.cars[k].behaviour != PLAN_OBSTRUCTED)
                    call->claimed = k;
            for (int k = 0; k < p->common.n && call->standing == NO_CAR; k++)
                if (p->common.cars[k].behaviour == ASSIGN_IDLE && p->common.cars[k].floor == floor)
                    call->standing = k;
        }
}

/* Find the cheapest assignment of at most EXACT calls. A set of calls is a bit mask: bit j stands for call j. */
static void assign_exactly(struct problem *p, int *owner)
{
    enum { SETS = 1 << EXACT };
    int64_t best[SETS], cost[SETS];
    uint8_t taken[ASSIGN_MAX_CARS][SETS]; /* the calls of car k if cars 0..k answer a set of calls */
    assert(p->count <= EXACT);
    const int all = (1 << p->count) - 1;
    for (int k = 0; k < p->common.n; k++) {
        for (int set = 0; set <= all; set++) {
            struct assign_share share = {0, 0};
            int64_t penalties = 0;
            for (int j = 0; j < p->count; j++)
                if ((set >> j & 1) != 0) {
                    share = toggled(p, share, j);
                    penalties += penalty(p, j, k);
                }
            cost[set] = plan_cost(&p->common, k, share) + penalties;
        }
        for (int set = all; set >= 0; set--) {
            int64_t least_cost = k == 0 ? cost[set] : best[set] + cost[0];
            int choice = k == 0 ? set : 0;
            for (int part = k == 0 ? 0 : -set & set; part != 0; part = (part - set) & set) {
                int64_t sum = best[set ^ part] + cost[part];
                if (sum < least_cost) {
                    least_cost = sum;
                    choice = part;
                }
            }
            best[set] = least_cost;
            taken[k][set] = (uint8_t)choice;
        }
    }
    for (int set = all, k = p->common.n - 1; k >= 0; k--) {
        int part = taken[k][set];
        for (int j = 0; j < p->count; j++)
            if ((part >> j & 1) != 0)
                owner[j] = k;
        set ^= part;
        assert(k > 0 || set == 0);
    }
}

/* A search: its current assignment of all calls, and the cost of each car's share without penalties. */
struct assignment {
    struct assign_share shares[ASSIGN_MAX_CARS];
    int64_t cost[ASSIGN_MAX_CARS];
    int owner[CALLS_MAX];
    long work_max; /* the search ends when the problem's work reaches this */
};

/* Return whether the search may do more work. */
static bool has_work_left(const struct problem *p, const struct assignment *s)
{
    return p->common.work < s->work_max;
}

/* Add call *j* to the share of car *k*, or remove it, and set its owner. *cost* is the new cost of the share. */
static void set_owner(struct problem *p, struct assignment *s, int j, int k, int64_t cost)
{
    assert(0 <= k && k < p->common.n);
    s->shares[k] = toggled(p, s->shares[k], j);
    s->cost[k] = cost;
    s->owner[j] = k;
}

/* Return the car to which call *j* adds the least cost and penalty, except the current owner *present*. Return NO_CAR
 * if every car would add *bound* or more. *cost* gets the new cost of the car's share. */
static int cheapest(struct problem *p, const struct assignment *s, int j, int present, int64_t bound, int64_t *cost)
{
    int found = NO_CAR;
    for (int k = 0; k < p->common.n; k++) {
        if (k == present)
            continue;
        int64_t with = plan_cost(&p->common, k, toggled(p, s->shares[k], j));
        int64_t more = with - s->cost[k] + penalty(p, j, k);
        if (more < bound) {
            bound = more;
            found = k;
            *cost = with;
        }
    }
    return found;
}

static int nearest(const struct problem *p, int j)
{
    const struct assign_car *cars = p->common.cars;
    const int floor = p->calls[j].floor;
    int found = 0;
    for (int k = 1; k < p->common.n; k++)
        if (plan_distance(cars[k].floor, floor) < plan_distance(cars[found].floor, floor))
            found = k;
    return found;
}

/* Assign one call after another where it adds the least cost. If *claims* is true, first assign the claimed calls to
 * the cars that claim them. If the work runs out, assign the remaining calls to the nearest cars. */
static void insert(struct problem *p, struct assignment *s, bool claims)
{
    memset(s->shares, 0, sizeof s->shares);
    for (int j = 0; j < p->count; j++) {
        s->owner[j] = claims ? p->calls[j].claimed : NO_CAR;
        if (s->owner[j] != NO_CAR)
            s->shares[s->owner[j]] = toggled(p, s->shares[s->owner[j]], j);
    }
    for (int k = 0; k < p->common.n; k++)
        s->cost[k] = plan_cost(&p->common, k, s->shares[k]);
    for (int j = 0; j < p->count; j++) {
        int64_t cost = 0;
        if (s->owner[j] != NO_CAR)
            continue;
        if (has_work_left(p, s)) {
            int k = cheapest(p, s, j, NO_CAR, INT64_MAX, &cost);
            set_owner(p, s, j, k, cost);
        } else {
            int k = nearest(p, j);
            set_owner(p, s, j, k, s->cost[k]); /* The cost is out of date, but the search ends here. */
        }
    }
}

static bool move_calls(struct problem *p, struct assignment *s)
{
    bool moved = false;
    for (int j = 0; j < p->count && has_work_left(p, s); j++) {
        int from = s->owner[j];
        int64_t cost = 0, without = plan_cost(&p->common, from, toggled(p, s->shares[from], j));
        int to = cheapest(p, s, j, from, s->cost[from] + penalty(p, j, from) - without, &cost);
        if (to == NO_CAR)
            continue;
        set_owner(p, s, j, from, without); /* removes it; the next line sets the owner */
        set_owner(p, s, j, to, cost);
        moved = true;
    }
    return moved;
}

static bool swap_two(struct problem *p, struct assignment *s)
{
    for (int i = 0; i < p->count; i++)
        for (int j = i + 1; j < p->count && has_work_left(p, s); j++) {
            int a = s->owner[i], b = s->owner[j];
            if (a == b)
                continue;
            int64_t cost_a = plan_cost(&p->common, a, toggled(p, toggled(p, s->shares[a], i), j));
            int64_t cost_b = plan_cost(&p->common, b, toggled(p, toggled(p, s->shares[b], i), j));
            int64_t more = cost_a + cost_b + penalty(p, i, b) + penalty(p, j, a);
            if (more >= s->cost[a] + s->cost[b] + penalty(p, i, a) + penalty(p, j, b))
                continue;
            s->shares[a] = toggled(p, toggled(p, s->shares[a], i), j);
            s->shares[b] = toggled(p, toggled(p, s->shares[b], i), j);
            s->cost[a] = cost_a;
            s->cost[b] = cost_b;
            s->owner[i] = b;
            s->owner[j] = a;
            return true;
        }
    return false;
}

/* Search from one start for about *work_max* steps at most. Return the cost of the result. If the work runs out before
 * the start is complete, return INT64_MAX. */
static int64_t search(struct problem *p, struct assignment *s, bool claims, long work_max)
{
    int64_t sum = 0;
    s->work_max = p->common.work + work_max;
    insert(p, s, claims);
    if (!has_work_left(p, s))
        return INT64_MAX;
    do {
        while (move_calls(p, s))
            ;
    } while (swap_two(p, s));
    for (int k = 0; k < p->common.n; k++)
        sum += s->cost[k];
    for (int j = 0; j < p->count; j++)
        sum += penalty(p, j, s->owner[j]);
    return sum;
}

static void assign_by_search(struct problem *p, int *owner)
{
    struct assignment kept, fresh;
    int64_t cost = search(p, &kept, true, WORK_MAX / 2);
    bool better = search(p, &fresh, false, WORK_MAX / 2) < cost;
    memcpy(owner, better ? fresh.owner : kept.owner, sizeof kept.owner);
}

int plan_assign(const struct assign_params *params, uint64_t up, uint64_t down, const struct assign_car *cars,
                const struct assign_share *claims, int n, const struct plan_rates *rates,
                const struct plan_waited *waited, struct assign_share *out, long *work)
{
    struct problem p;
    int owner[CALLS_MAX];
    int status = plan_prepare(&p.common, params, up | down, cars, n, rates);
    if (status != ASSIGN_OK)
        return status;
    plan_set_ages(&p.common, waited);
    list_calls(&p, up, down, claims);
    if (p.count <= EXACT)
        assign_exactly(&p, owner);
    else
        assign_by_search(&p, owner);
    for (int k = 0; k < n; k++)
        out[k] = (struct assign_share){0, 0};
    for (int j = 0; j < p.count; j++) {
        assert(0 <= owner[j] && owner[j] < n);
        out[owner[j]] = toggled(&p, out[owner[j]], j);
    }
    if (work != NULL)
        *work = p.common.work;
    return ASSIGN_OK;
}
