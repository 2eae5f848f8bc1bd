/* The plan-cost assigner.
 *
 * A simulation finds the cost of a share: the car serves it by the rules of motion.h, from stop to stop. The cost is
 * the sum of the waiting times, plus a part (END) of the time at which the car is done. A car that is done sooner
 * reaches the next passenger sooner. Durations are nominal: a moving car is half way between two floors, an open door
 * is half way through its dwell time, and an obstructed door is at the start of it.
 *
 * - More passengers gather at a button while it is lit. A call served after t ms costs t + rate * t * t / 2. The rate
 *   is the learned one plus PATIENCE. So one long wait is worse than two of half the time, even where few people come.
 * - Each passenger who enters presses a cab button. So each served call adds a cab call, at one quarter or at three
 *   quarters of the floors ahead, shifted a little from floor to floor. The cost is the sum over these SCENARIOS.
 * - A call costs HYSTERESIS_MS more with any car but the one that claims it. A reassignment that gains less is not
 *   worth the turning cars. The rule uses published claims, so all nodes agree. The claim of a car with an obstructed
 *   door does not count, because the obstruction can last.
 * - If a car stands idle at the floor of a call, the call costs STANDING_MS more with any other car. Another car may
 *   pass soon and save a trip, but a passenger in front of a closed door does not understand that.
 *
 * The shares minimise the sum over all cars. Up to EXACT calls the search is exact, over all subsets. Beyond that it is
 * a local search that moves one call or swaps two. It has two starts: the claims, and cheapest insertion. Among choices
 * of equal cost the first wins, so that every node finds the same answer.
 *
 * Parking puts idle cars near the next passengers. It minimises the sum, over all buttons, of the rate times the time
 * that the nearest car needs, plus SECOND times the time of the second nearest. A busy car counts from the moment when
 * its plan passes the button in its direction, or from the end of its plan. Two moments are considered: when the next
 * passenger is expected, and LATER_MS from now, because a car that is about to pass is soon gone.
 *
 * - Every button gets a share of unknown traffic. The share grows with the load: in a busy building a car that waits at
 *   the busiest button leaves with few passengers and is then away.
 * - The way to a floor has a price. It grows with the load too, where cars are few: a car that rests higher up comes
 *   later, takes more passengers at once, and is near those above the lobby.
 *
 * Every constant was chosen by measurement (`elevator bench dispatch`). Results change little around these values.
 */
#include "plan.h"

#include <assert.h>
#include <string.h>

#include "motion.h"

enum {
    NO_CAR = -1,
    SCENARIOS = 2,
    MOMENTS = 2,
    EXACT = 6,
    CALLS_MAX = 2 * ASSIGN_MAX_FLOORS,
    COST = 64,       /* the unit of cost is 1/64 ms of one person */
    WAIT_SHIFT = 15, /* 2^WAIT_SHIFT = 2^PLAN_RATE_SHIFT * 2 / COST */
    END = 32,        /* of COST */
    HYSTERESIS_MS = 2000,
    STANDING_MS = 4000,
    PATIENCE = 200,         /* people in 2^20 ms */
    WORK_MAX = 300000,      /* steps of simulated cars, for the search */
    PARK_WORK_MAX = 600000, /* comparisons of arrival times */
    PARK_ROUNDS = 4,
    PRICE = 256,          /* the unit of a price of parking is 1/256 ms of one person */
    SECOND = 98,          /* of PRICE */
    PARK_WAY = 1000,      /* price in ms of a way through the whole building */
    LOAD = 16,            /* the unit of load is 1/16 of what one car can carry alone */
    LOAD_MAX = 16 * LOAD, /* bounds the two prices that grow with the load */
    LOADED_WAY = 8,       /* price in ms of each floor of the way, times (load in units of LOAD / cars) squared */
    LOADED_UNKNOWN = 45,  /* of LOAD: this part of the mean rate, times load squared, is added to every rate */
    RATE_UNKNOWN = 1,     /* people in 2^20 ms, added to every rate: any button can be the next */
    RATE_PRIOR = 10,      /* people in 2^20 ms, so that the next person is expected within 105 s */
    LATER_MS = 4000,
    PERMILLE = 1000,
    GOLDEN = 382,          /* permille, a golden section: the destinations of neighbouring floors are spread evenly */
    JOIN_MAX_MS = 1 << 21, /* bounds of the arithmetic, far beyond any real time */
    FAR_MS = 1 << 24,
};

static_assert((1 << WAIT_SHIFT) * COST == 2 << PLAN_RATE_SHIFT, "the cost of a wait is in units of COST");
static_assert(1 << EXACT <= UINT8_MAX + 1, "a set of calls fits uint8_t");
static_assert(ASSIGN_MAX_FLOORS - 1 <= INT8_MAX, "a floor fits int8_t");

struct call {
    int floor, direction;
    int claimed;  /* the car that claims it, or NO_CAR */
    int standing; /* an idle car at its floor, or NO_CAR */
};

struct problem {
    const struct assign_params *params;
    const struct assign_car *cars;
    const struct plan_rates *rates;
    struct call calls[CALLS_MAX];
    int n, count;
    long work;
    int8_t ahead[SCENARIOS][2][ASSIGN_MAX_FLOORS]; /* destinations of passengers who enter at a floor; down and up */
};

/* When a car can first serve each button, not before *since_ms*; down and up. */
struct passing {
    int64_t since_ms;
    int64_t at_ms[2][ASSIGN_MAX_FLOORS];
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int between(int a, int b)
{
    return a > b ? a - b : b - a;
}

static int lowest(uint64_t floors)
{
    return __builtin_ctzll(floors);
}

static int highest(uint64_t floors)
{
    return 63 - __builtin_clzll(floors);
}

/* The next floor at which a car that moves in *direction* from *floor* stops or turns. It has work beyond *floor*. */
static int next_stop(int floor, int direction, const struct motion_work *work)
{
    uint64_t beyond = direction == UP ? ~(motion_bit(floor) | (motion_bit(floor) - 1)) : motion_bit(floor) - 1;
    uint64_t stops = (work->cab | motion_hall(direction, work)) & beyond;
    if (direction == UP)
        return stops != 0 ? lowest(stops) : highest(motion_every(work));
    return stops != 0 ? highest(stops) : lowest(motion_every(work));
}

static bool is_open(const struct assign_car *car)
{
    return car->behaviour == ASSIGN_DOOR_OPEN || car->behaviour == PLAN_OBSTRUCTED;
}

static void note_passing(struct passing *passing, int floor, int direction, int64_t from_ms, int64_t until_ms)
{
    int64_t *at_ms = &passing->at_ms[direction == UP][floor];
    if (until_ms >= passing->since_ms)
        *at_ms = least(*at_ms, most(from_ms, passing->since_ms));
}

/* Simulate car *k* while it serves its cab calls and the hall calls *up* and *down*. Return the cost. If *passing*
 * is not NULL, note when the car can serve each button. */
static int64_t walk(struct problem *p, int k, uint64_t up, uint64_t down, int scenario, struct passing *passing)
{
    const struct assign_car *car = &p->cars[k];
    const int64_t travel_ms = p->params->travel_ms, door_ms = p->params->door_ms;
    struct motion_work work = {up, down, car->cab};
    int floor = car->floor, direction = car->direction == UP ? UP : DOWN;
    bool departing = is_open(car);
    int64_t cost = 0, t = car->behaviour == PLAN_OBSTRUCTED ? door_ms : departing ? door_ms / 2 : 0;
    if (car->behaviour == ASSIGN_MOVING) {
        floor += car->direction;
        t = travel_ms / 2;
    }
    for (;;) {
        struct motion_move next = motion_decide(floor, direction, &work, departing);
        p->work++;
        if (next.behaviour == ASSIGN_IDLE)
            break;
        direction = next.direction;
        if (next.behaviour == ASSIGN_MOVING) {
            int stop = next_stop(floor, direction, &work);
            if (passing != NULL)
                for (int f = floor + direction; f != stop; f += direction) {
                    int64_t there_ms = t + travel_ms * between(floor, f);
                    note_passing(passing, f, direction, there_ms, there_ms);
                }
            t += travel_ms * between(floor, stop);
            floor = stop;
            assert(0 <= floor && floor < ASSIGN_MAX_FLOORS);
            departing = false;
            continue;
        }
        uint64_t here = motion_bit(floor), *hall = direction == UP ? &work.up : &work.down;
        work.cab &= ~here;
        if ((*hall & here) != 0) {
            int64_t rate = PATIENCE + (direction == UP ? p->rates->up[floor] : p->rates->down[floor]);
            int64_t joined_ms = least(t, JOIN_MAX_MS);
            *hall &= ~here;
            cost += COST * t + (rate * joined_ms >> WAIT_SHIFT) * joined_ms;
            work.cab |= motion_bit(p->ahead[scenario][direction == UP][floor]);
        }
        if (passing != NULL)
            note_passing(passing, floor, direction, t, t + door_ms);
        t += door_ms;
        departing = true;
    }
    if (passing != NULL)
        for (int f = 0; f < p->params->floors; f++) {
            int64_t free_ms = most(t, passing->since_ms), there_ms = free_ms + travel_ms * between(floor, f);
            note_passing(passing, f, UP, there_ms, there_ms);
            note_passing(passing, f, DOWN, there_ms, there_ms);
        }
    return cost + END * t;
}

static int64_t cost_of(struct problem *p, int k, struct assign_share share)
{
    int64_t cost = 0;
    if ((share.up | share.down | p->cars[k].cab) == 0 && p->cars[k].behaviour == ASSIGN_IDLE)
        return 0;
    for (int scenario = 0; scenario < SCENARIOS; scenario++)
        cost += walk(p, k, share.up, share.down, scenario, NULL);
    return cost;
}

/* *share* with call *j* added, or removed if it is there. */
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

/* The penalty for assigning call *j* to car *k* although another car claims it or stands at its floor. */
static int64_t penalty(const struct problem *p, int j, int k)
{
    int claimed = p->calls[j].claimed, standing = p->calls[j].standing;
    int64_t claimed_ms = claimed != NO_CAR && claimed != k ? HYSTERESIS_MS : 0;
    int64_t standing_ms = standing != NO_CAR && standing != k ? STANDING_MS : 0;
    return COST * SCENARIOS * (claimed_ms + standing_ms);
}

/* The destination of passengers who enter at *floor*. With nothing ahead it is the neighbouring floor. */
static int destination(int floor, int direction, int floors, int scenario)
{
    int ahead = direction == UP ? floors - 1 - floor : floor;
    if (ahead == 0)
        return floors == 1 ? floor : floor - direction;
    int permille = ((2 * scenario + 1) * PERMILLE / (2 * SCENARIOS) + GOLDEN * floor) % PERMILLE;
    return floor + direction * (1 + permille * ahead / PERMILLE);
}

static void prepare(struct problem *p, const struct assign_params *params, const struct assign_car *cars, int n,
                    const struct plan_rates *rates)
{
    p->params = params;
    p->cars = cars;
    p->rates = rates;
    p->n = n;
    p->count = 0;
    p->work = 0;
    for (int s = 0; s < SCENARIOS; s++)
        for (int f = 0; f < params->floors; f++) {
            p->ahead[s][0][f] = (int8_t)destination(f, DOWN, params->floors, s);
            p->ahead[s][1][f] = (int8_t)destination(f, UP, params->floors, s);
        }
}

static void list_calls(struct problem *p, uint64_t up, uint64_t down, const struct assign_share *claims)
{
    for (int floor = 0; floor < p->params->floors; floor++)
        for (int direction = UP; direction >= DOWN; direction -= 2) {
            uint64_t here = motion_bit(floor);
            if (((direction == UP ? up : down) & here) == 0)
                continue;
            assert(p->count < CALLS_MAX);
            struct call *call = &p->calls[p->count++];
            *call = (struct call){floor, direction, NO_CAR, NO_CAR};
            for (int k = 0; k < p->n && call->claimed == NO_CAR; k++)
                if (((direction == UP ? claims[k].up : claims[k].down) & here) != 0 &&
                    p->cars[k].behaviour != PLAN_OBSTRUCTED)
                    call->claimed = k;
            for (int k = 0; k < p->n && call->standing == NO_CAR; k++)
                if (p->cars[k].behaviour == ASSIGN_IDLE && p->cars[k].floor == floor)
                    call->standing = k;
        }
}

/* Find the cheapest assignment of at most EXACT calls. A set of calls is a bit mask too. */
static void assign_exactly(struct problem *p, int *owner)
{
    enum { SETS = 1 << EXACT };
    int64_t best[SETS], cost[SETS];
    uint8_t taken[ASSIGN_MAX_CARS][SETS]; /* the part of car k, if cars 0..k share a set */
    assert(p->count <= EXACT);
    const int all = (1 << p->count) - 1;
    for (int k = 0; k < p->n; k++) {
        for (int set = 0; set <= all; set++) {
            struct assign_share share = {0, 0};
            int64_t penalties = 0;
            for (int j = 0; j < p->count; j++)
                if ((set >> j & 1) != 0) {
                    share = toggled(p, share, j);
                    penalties += penalty(p, j, k);
                }
            cost[set] = cost_of(p, k, share) + penalties;
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
    for (int set = all, k = p->n - 1; k >= 0; k--) {
        int part = taken[k][set];
        for (int j = 0; j < p->count; j++)
            if ((part >> j & 1) != 0)
                owner[j] = k;
        set ^= part;
        assert(k > 0 || set == 0);
    }
}

/* An assignment of all calls, and its cost for each car. */
struct assignment {
    struct assign_share shares[ASSIGN_MAX_CARS];
    int64_t cost[ASSIGN_MAX_CARS];
    int owner[CALLS_MAX];
    long work_max;
};

/* Whether the search has work left. */
static bool has_work_left(const struct problem *p, const struct assignment *s)
{
    return p->work < s->work_max;
}

/* Add call *j* to the share of car *k*, or remove it, and set its owner. *cost* is the new cost of the share. */
static void set_owner(struct problem *p, struct assignment *s, int j, int k, int64_t cost)
{
    assert(0 <= k && k < p->n);
    s->shares[k] = toggled(p, s->shares[k], j);
    s->cost[k] = cost;
    s->owner[j] = k;
}

/* Find the car, except the *present* owner, whose cost call *j* raises least and by less than *bound*, or NO_CAR.
 * *cost* gets the new cost of its share. */
static int cheapest(struct problem *p, const struct assignment *s, int j, int present, int64_t bound, int64_t *cost)
{
    int found = NO_CAR;
    for (int k = 0; k < p->n; k++) {
        if (k == present)
            continue;
        int64_t with = cost_of(p, k, toggled(p, s->shares[k], j));
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
    int found = 0;
    for (int k = 1; k < p->n; k++)
        if (between(p->cars[k].floor, p->calls[j].floor) < between(p->cars[found].floor, p->calls[j].floor))
            found = k;
    return found;
}

/* Assign claimed calls to the cars that claim them if *claims* is true, and all others where they cost least. */
static void insert(struct problem *p, struct assignment *s, bool claims)
{
    memset(s->shares, 0, sizeof s->shares);
    for (int j = 0; j < p->count; j++) {
        s->owner[j] = claims ? p->calls[j].claimed : NO_CAR;
        if (s->owner[j] != NO_CAR)
            s->shares[s->owner[j]] = toggled(p, s->shares[s->owner[j]], j);
    }
    for (int k = 0; k < p->n; k++)
        s->cost[k] = cost_of(p, k, s->shares[k]);
    for (int j = 0; j < p->count; j++) {
        int64_t cost = 0;
        if (s->owner[j] != NO_CAR)
            continue;
        if (has_work_left(p, s)) {
            int k = cheapest(p, s, j, NO_CAR, INT64_MAX, &cost);
            set_owner(p, s, j, k, cost);
        } else {
            int k = nearest(p, j);
            set_owner(p, s, j, k, s->cost[k]); /* Out of date, but the search ends here. */
        }
    }
}

static bool move_calls(struct problem *p, struct assignment *s)
{
    bool moved = false;
    for (int j = 0; j < p->count && has_work_left(p, s); j++) {
        int from = s->owner[j];
        int64_t cost = 0, without = cost_of(p, from, toggled(p, s->shares[from], j));
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
            int64_t cost_a = cost_of(p, a, toggled(p, toggled(p, s->shares[a], i), j));
            int64_t cost_b = cost_of(p, b, toggled(p, toggled(p, s->shares[b], i), j));
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

/* Search from one start for *work_max* steps. Return the cost of the result, INT64_MAX if even the start is
 * incomplete. */
static int64_t search(struct problem *p, struct assignment *s, bool claims, long work_max)
{
    int64_t sum = 0;
    s->work_max = p->work + work_max;
    insert(p, s, claims);
    if (!has_work_left(p, s))
        return INT64_MAX;
    do {
        while (move_calls(p, s))
            ;
    } while (swap_two(p, s));
    for (int k = 0; k < p->n; k++)
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

static int check(const struct assign_params *params, uint64_t floors, const struct assign_car *cars, int n,
                 const struct plan_rates *rates)
{
    struct assign_car plain[ASSIGN_MAX_CARS];
    for (int k = 0; k < n && n <= ASSIGN_MAX_CARS; k++) {
        plain[k] = cars[k];
        plain[k].behaviour = is_open(&cars[k]) ? ASSIGN_DOOR_OPEN : cars[k].behaviour;
    }
    int status = assign_check(params, floors, plain, n);
    if (status != ASSIGN_OK)
        return status;
    if (params->door_ms < 0 || params->door_ms > PLAN_MAX_MS)
        return ASSIGN_DOOR;
    if (params->travel_ms < 0 || params->travel_ms > PLAN_MAX_MS)
        return ASSIGN_TRAVEL;
    for (int f = 0; f < params->floors; f++)
        if (rates->up[f] < 0 || rates->up[f] > PLAN_MAX_RATE || rates->down[f] < 0 || rates->down[f] > PLAN_MAX_RATE)
            return ASSIGN_RATE;
    return ASSIGN_OK;
}

int plan_assign(const struct assign_params *params, uint64_t up, uint64_t down, const struct assign_car *cars,
                const struct assign_share *claims, int n, const struct plan_rates *rates, struct assign_share *out,
                long *work)
{
    struct problem p;
    int owner[CALLS_MAX];
    int status = check(params, up | down, cars, n, rates);
    if (status != ASSIGN_OK)
        return status;
    prepare(&p, params, cars, n, rates);
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
        *work = p.work;
    return ASSIGN_OK;
}

/* The two shortest times that cars need to serve a button. */
struct arrivals {
    int64_t first_ms, second_ms;
};

/* *known* and the time of one more car. */
static struct arrivals with(struct arrivals known, int64_t ms)
{
    ms = least(ms, FAR_MS);
    if (ms < known.first_ms)
        return (struct arrivals){ms, known.first_ms};
    return (struct arrivals){known.first_ms, least(ms, known.second_ms)};
}

struct parking {
    struct arrivals busy[2][ASSIGN_MAX_FLOORS]; /* of busy cars; down and up */
    int64_t weight[2][ASSIGN_MAX_FLOORS];
    int64_t weights;
    int64_t way; /* the price of one floor of the way to a target, in units of PRICE */
    int from[ASSIGN_MAX_CARS]; /* the floor of a free car, or the next one that it reaches */
};

static bool is_free(const struct assign_car *car, const struct assign_share *share)
{
    return (car->cab | share->up | share->down) == 0 && !is_open(car);
}

/* Set the weights of the buttons and the price of the way. Return the expected time until the next passenger comes. */
static int64_t weigh(struct parking *parking, const struct problem *p)
{
    const int floors = p->params->floors;
    int64_t total = 0;
    for (int f = 0; f < floors; f++)
        total += p->rates->up[f] + p->rates->down[f];
    /* A trip has two stops, and its empty and its full way are each a third of the building. */
    int64_t trip_ms = 2 * (int64_t)p->params->door_ms + (int64_t)p->params->travel_ms * floors * 2 / 3;
    int64_t load = least((LOAD * total * trip_ms / p->n) >> PLAN_RATE_SHIFT, LOAD_MAX);
    int64_t loaded = total * load * load * LOADED_UNKNOWN / (LOAD * LOAD * LOAD) / floors;
    int64_t unknown = least(RATE_UNKNOWN + loaded, PLAN_MAX_RATE);
    parking->way = (int64_t)PRICE * PARK_WAY / floors + PRICE * LOADED_WAY * load * load / p->n / p->n;
    parking->weights = 0;
    for (int f = 0; f < floors; f++) {
        parking->weight[0][f] = f > 0 ? p->rates->down[f] + unknown : 0;
        parking->weight[1][f] = f < floors - 1 ? p->rates->up[f] + unknown : 0;
        parking->weights += parking->weight[0][f] + parking->weight[1][f];
    }
    return (INT64_C(1) << PLAN_RATE_SHIFT) / (total + RATE_PRIOR);
}

/* Add the times that busy car *k* needs to serve the buttons: the means over the moments *since_ms* and the
 * scenarios. */
static void add_busy(struct parking *parking, struct problem *p, int k, const struct assign_share *share,
                     const int64_t since_ms[MOMENTS])
{
    int64_t sum_ms[2][ASSIGN_MAX_FLOORS] = {{0}};
    const int floors = p->params->floors;
    for (int each = 0; each < MOMENTS * SCENARIOS; each++) {
        struct passing passing = {.since_ms = since_ms[each % MOMENTS]};
        for (int f = 0; f < floors; f++)
            passing.at_ms[0][f] = passing.at_ms[1][f] = INT64_MAX;
        walk(p, k, share->up, share->down, each / MOMENTS, &passing);
        for (int f = 0; f < floors; f++) {
            sum_ms[0][f] += passing.at_ms[0][f] - passing.since_ms;
            sum_ms[1][f] += passing.at_ms[1][f] - passing.since_ms;
        }
    }
    for (int f = 0; f < floors; f++) {
        parking->busy[0][f] = with(parking->busy[0][f], sum_ms[0][f] / (MOMENTS * SCENARIOS));
        parking->busy[1][f] = with(parking->busy[1][f], sum_ms[1][f] / (MOMENTS * SCENARIOS));
    }
}

/* The price of a car that waits at *target*. *others* are the times that the other cars need. */
static int64_t price(const struct parking *parking, const struct problem *p, int target, int from,
                     struct arrivals others[2][ASSIGN_MAX_FLOORS])
{
    int64_t sum = parking->way * parking->weights * between(target, from);
    for (int f = 0; f < p->params->floors; f++) {
        int64_t ms = (int64_t)p->params->travel_ms * between(target, f);
        for (int way = 0; way < 2; way++) {
            struct arrivals all = with(others[way][f], ms);
            sum += parking->weight[way][f] * (PRICE * all.first_ms + SECOND * all.second_ms);
        }
    }
    return sum;
}

/* Choose the best floor for car *k* while the others wait at *targets*. Return whether its target has changed. */
static bool improve(const struct parking *parking, struct problem *p, int k, int *targets)
{
    assert(0 <= targets[k] && targets[k] < p->params->floors);
    struct arrivals others[2][ASSIGN_MAX_FLOORS];
    const int floors = p->params->floors;
    for (int f = 0; f < floors; f++)
        for (int way = 0; way < 2; way++) {
            others[way][f] = parking->busy[way][f];
            for (int i = 0; i < p->n; i++)
                if (i != k && targets[i] >= 0)
                    others[way][f] = with(others[way][f], (int64_t)p->params->travel_ms * between(targets[i], f));
        }
    p->work += (long)2 * floors * (p->n + floors);
    int best = targets[k];
    int64_t bound = price(parking, p, best, parking->from[k], others);
    for (int floor = 0; floor < floors; floor++) {
        int64_t sum = price(parking, p, floor, parking->from[k], others);
        if (sum < bound) {
            bound = sum;
            best = floor;
        }
    }
    bool changed = best != targets[k];
    targets[k] = best;
    return changed;
}

int plan_park(const struct assign_params *params, const struct assign_car *cars, const struct assign_share *shares,
              int n, const struct plan_rates *rates, int *targets, long *work)
{
    struct problem p;
    struct parking parking;
    int status = check(params, 0, cars, n, rates);
    for (int k = 0; status == ASSIGN_OK && k < n; k++)
        status = check(params, shares[k].up | shares[k].down, cars, n, rates);
    if (status != ASSIGN_OK)
        return status;
    prepare(&p, params, cars, n, rates);
    const int64_t since_ms[MOMENTS] = {weigh(&parking, &p) / 2, LATER_MS};
    for (int f = 0; f < params->floors; f++)
        parking.busy[0][f] = parking.busy[1][f] = (struct arrivals){FAR_MS, FAR_MS};
    for (int k = 0; k < n; k++) {
        bool free = is_free(&cars[k], &shares[k]);
        targets[k] = free ? cars[k].floor + (cars[k].behaviour == ASSIGN_MOVING ? cars[k].direction : 0) : -1;
        parking.from[k] = targets[k];
        if (!free)
            add_busy(&parking, &p, k, &shares[k], since_ms);
    }
    bool changed = true;
    for (int round = 0; round < PARK_ROUNDS && changed; round++) {
        changed = false;
        for (int k = 0; k < n && p.work < PARK_WORK_MAX; k++)
            if (targets[k] >= 0 && improve(&parking, &p, k, targets))
                changed = true;
    }
    if (work != NULL)
        *work = p.work;
    return ASSIGN_OK;
}
