/* The plan-cost assigner.
 *
 * The cost of a share for a car is found by letting the car serve it, by the rules of motion.h and from stop to stop:
 * the times at which calls are served, and half of the time at which the car is done (END), because a car that is done
 * sooner is there sooner for whoever comes next. Durations are the nominal ones; a moving car is half way between two
 * floors, an open door half through its dwell time, and one that is obstructed at the beginning of it.
 *
 * - Behind a button more people gather while it waits: a call served after t ms costs t + rate * t * t / 2. The rate is
 *   what is known of it and PATIENCE, so that one long wait is worse than two of half the time, also where few come.
 * - Whoever enters presses a button: each call served adds a cab call, at one quarter and at three quarters of the
 *   floors ahead (moved a little from floor to floor). The cost is the sum over these SCENARIOS.
 * - A call that is not with the car that claims it costs HYSTERESIS_MS more: reassignments make passengers and cars
 *   restless and gain nothing if they gain less. It is keyed on what cars publish, so all nodes agree. The claim of a
 *   car whose door is obstructed does not count: nobody knows how long it stays.
 * - A call at a floor where a car stands idle costs STANDING_MS more with any other. Another may come by soon and save a
 *   trip, but nobody who stands before a shut door understands that.
 *
 * The shares minimise the sum over all cars: exactly, over all subsets, up to EXACT calls; beyond that by local search
 * (moving one call, then swapping two) from two starts, what is claimed and cheapest insertion. In all choices the
 * first is taken of those that cost the same, so that the answer is one everywhere.
 *
 * Idle cars wait where they are near to those who come next: the sum, over buttons, of rate times the time in which
 * the first car could be there, and SECOND times the second one's. Cars at work count from where their plan passes the
 * button in its direction, or from its end; that is asked for two moments, when the next person may be expected and
 * LATER_MS from now, because a car that is about to pass is soon gone. What is not known yet is made up for by a share
 * for every button; it grows with the load, because in a busy building a car that waits at the busiest button leaves
 * with few, and then is away. So does what a way must gain, where cars are few: a car that rests higher up comes later
 * and takes more people at once, and those above the lobby are not left alone.
 *
 * Every constant was chosen by measurement (`elevator bench dispatch`); all are flat around these values.
 */
#include "plan.h"

#include <assert.h>
#include <string.h>

#include "motion.h"

enum {
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
    PARK_WAY = 1000,      /* ms that an idle car's way through the whole building must gain */
    LOAD = 16,            /* the unit of load is 1/16 of what one car can carry alone */
    LOAD_MAX = 16 * LOAD, /* bounds the two prices that grow with the load */
    LOADED_WAY = 8,       /* ms that each floor of the way must gain besides, times (load / cars) squared */
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
    int claimed;  /* the car that says so, -1 if none does */
    int standing; /* an idle car that is there already, -1 if there is none */
};

struct problem {
    const struct assign_params *params;
    const struct assign_car *cars;
    const struct plan_rates *rates;
    struct call calls[CALLS_MAX];
    int n, count;
    long work;
    int8_t ahead[SCENARIOS][2][ASSIGN_MAX_FLOORS]; /* where those go who enter at a floor, down and up */
};

/* When a car could serve each button, seen from *since_ms* on; down and up. */
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

/* The next floor at which a car moving in *direction* from *floor* stops or turns. There is work beyond. */
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

/* Let car *k* serve its cab calls and the hall calls *up* and *down*; return what that costs. */
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

/* *share* with call *j* put in, or taken out if it is there. */
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

/* What it costs in addition that call *j* goes to car *k*. */
static int64_t unrest(const struct problem *p, int j, int k)
{
    int claimed = p->calls[j].claimed, standing = p->calls[j].standing;
    int64_t moved_ms = claimed >= 0 && claimed != k ? HYSTERESIS_MS : 0;
    int64_t left_ms = standing >= 0 && standing != k ? STANDING_MS : 0;
    return COST * SCENARIOS * (moved_ms + left_ms);
}

/* Where those go who enter at *floor*. At the end floors, where nothing is ahead, it is the next floor. */
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
            *call = (struct call){floor, direction, -1, -1};
            for (int k = 0; k < p->n && call->claimed < 0; k++)
                if (((direction == UP ? claims[k].up : claims[k].down) & here) != 0 &&
                    p->cars[k].behaviour != PLAN_OBSTRUCTED)
                    call->claimed = k;
            for (int k = 0; k < p->n && call->standing < 0; k++)
                if (p->cars[k].behaviour == ASSIGN_IDLE && p->cars[k].floor == floor)
                    call->standing = k;
        }
}

/* Share out at most EXACT calls in the best of all ways. A set of calls is a bit mask here, too. */
static void share_exactly(struct problem *p, int *owner)
{
    enum { SETS = 1 << EXACT };
    int64_t best[SETS], cost[SETS];
    uint8_t taken[ASSIGN_MAX_CARS][SETS]; /* by car k, of a set shared out among cars 0..k */
    assert(p->count <= EXACT);
    const int all = (1 << p->count) - 1;
    for (int k = 0; k < p->n; k++) {
        for (int set = 0; set <= all; set++) {
            struct assign_share share = {0, 0};
            int64_t restless = 0;
            for (int j = 0; j < p->count; j++)
                if ((set >> j & 1) != 0) {
                    share = toggled(p, share, j);
                    restless += unrest(p, j, k);
                }
            cost[set] = cost_of(p, k, share) + restless;
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

/* One way of sharing out, and what it costs each car. */
struct sharing {
    struct assign_share shares[ASSIGN_MAX_CARS];
    int64_t cost[ASSIGN_MAX_CARS];
    int owner[CALLS_MAX];
    long work_max;
};

static bool may_go_on(const struct problem *p, const struct sharing *s)
{
    return p->work < s->work_max;
}

static void give(struct problem *p, struct sharing *s, int j, int k, int64_t cost)
{
    assert(0 <= k && k < p->n);
    s->shares[k] = toggled(p, s->shares[k], j);
    s->cost[k] = cost;
    s->owner[j] = k;
}

/* Find the car that takes call *j*, not its *present* owner, at the least cost below *bound*; -1 if there is none. */
static int cheapest(struct problem *p, const struct sharing *s, int j, int present, int64_t bound, int64_t *cost)
{
    int found = -1;
    for (int k = 0; k < p->n; k++) {
        if (k == present)
            continue;
        int64_t with = cost_of(p, k, toggled(p, s->shares[k], j));
        int64_t more = with - s->cost[k] + unrest(p, j, k);
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

/* Give each call to whoever *claims* it, if that is to count, and the others where they cost least. */
static void insert(struct problem *p, struct sharing *s, bool claims)
{
    memset(s->shares, 0, sizeof s->shares);
    for (int j = 0; j < p->count; j++) {
        s->owner[j] = claims ? p->calls[j].claimed : -1;
        if (s->owner[j] >= 0)
            s->shares[s->owner[j]] = toggled(p, s->shares[s->owner[j]], j);
    }
    for (int k = 0; k < p->n; k++)
        s->cost[k] = cost_of(p, k, s->shares[k]);
    for (int j = 0; j < p->count; j++) {
        int64_t cost = 0;
        if (s->owner[j] >= 0)
            continue;
        if (may_go_on(p, s)) {
            int k = cheapest(p, s, j, -1, INT64_MAX, &cost);
            give(p, s, j, k, cost);
        } else {
            int k = nearest(p, j);
            give(p, s, j, k, s->cost[k]); /* The cost is not known any more, and not asked for. */
        }
    }
}

static bool move_calls(struct problem *p, struct sharing *s)
{
    bool moved = false;
    for (int j = 0; j < p->count && may_go_on(p, s); j++) {
        int from = s->owner[j];
        int64_t cost = 0, without = cost_of(p, from, toggled(p, s->shares[from], j));
        int to = cheapest(p, s, j, from, s->cost[from] + unrest(p, j, from) - without, &cost);
        if (to < 0)
            continue;
        give(p, s, j, from, without); /* that is, take it away */
        give(p, s, j, to, cost);
        moved = true;
    }
    return moved;
}

static bool swap_two(struct problem *p, struct sharing *s)
{
    for (int i = 0; i < p->count; i++)
        for (int j = i + 1; j < p->count && may_go_on(p, s); j++) {
            int a = s->owner[i], b = s->owner[j];
            if (a == b)
                continue;
            int64_t cost_a = cost_of(p, a, toggled(p, toggled(p, s->shares[a], i), j));
            int64_t cost_b = cost_of(p, b, toggled(p, toggled(p, s->shares[b], i), j));
            int64_t more = cost_a + cost_b + unrest(p, i, b) + unrest(p, j, a);
            if (more >= s->cost[a] + s->cost[b] + unrest(p, i, a) + unrest(p, j, b))
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

/* Search from one start with *work_max* steps, and return the cost of what was found. */
static int64_t search(struct problem *p, struct sharing *s, bool claims, long work_max)
{
    int64_t sum = 0;
    s->work_max = p->work + work_max;
    insert(p, s, claims);
    if (!may_go_on(p, s))
        return INT64_MAX;
    do {
        while (move_calls(p, s))
            ;
    } while (swap_two(p, s));
    for (int k = 0; k < p->n; k++)
        sum += s->cost[k];
    for (int j = 0; j < p->count; j++)
        sum += unrest(p, j, s->owner[j]);
    return sum;
}

static void share_by_search(struct problem *p, int *owner)
{
    struct sharing kept, fresh;
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
        share_exactly(&p, owner);
    else
        share_by_search(&p, owner);
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

/* The two shortest times in which some car can serve a button. */
struct arrivals {
    int64_t first_ms, second_ms;
};

static struct arrivals with(struct arrivals known, int64_t ms)
{
    ms = least(ms, FAR_MS);
    if (ms < known.first_ms)
        return (struct arrivals){ms, known.first_ms};
    return (struct arrivals){known.first_ms, least(ms, known.second_ms)};
}

struct parking {
    struct arrivals busy[2][ASSIGN_MAX_FLOORS]; /* of cars that are at work; down and up */
    int64_t weight[2][ASSIGN_MAX_FLOORS];
    int64_t weights;
    int64_t way; /* what a floor's way must gain, in units of PRICE */
    int from[ASSIGN_MAX_CARS]; /* where a free car is, or comes to next */
};

static bool is_free(const struct assign_car *car, const struct assign_share *share)
{
    return (car->cab | share->up | share->down) == 0 && !is_open(car);
}

/* Weigh the buttons; return how long it takes until the next person comes. */
static int64_t weigh(struct parking *parking, const struct problem *p)
{
    const int floors = p->params->floors;
    int64_t total = 0;
    for (int f = 0; f < floors; f++)
        total += p->rates->up[f] + p->rates->down[f];
    /* One passenger takes two stops, and the way to him and with him is two thirds of the building. */
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

/* Note when car *k* can be at the buttons, as the mean of what is so at each of the moments *since_ms*. */
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

/* What it costs that one car waits at *target*, while the others could be at the buttons as *others* says. */
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

/* Choose the best floor for car *k* to wait at, the others being where *targets* says; tell whether that is new. */
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
