/* See plan_cost.h. */
#include "plan_cost.h"

#include <stddef.h>

enum {
    WAIT_SHIFT = 15, /* 2^WAIT_SHIFT = 2^PLAN_RATE_SHIFT * 2 / PLAN_COST */
    END = 8,         /* the price of each ms until a car is done, without load, in units of 1 / PLAN_COST */
    LOADED_END = 40, /* added to END for each PLAN_LOAD units of load */
    LOADED_MAX = 4 * PLAN_LOAD, /* a greater load adds no more */
    PATIENCE = 200,  /* people in 2^20 ms, added to every rate */
    PERMILLE = 1000,
    GOLDEN = 382,          /* permille; a golden section, which spreads the destinations of neighbouring floors */
    JOIN_MAX_MS = 1 << 21, /* bounds the arithmetic, far beyond any real time */
};

static_assert((1 << WAIT_SHIFT) * PLAN_COST == 2 << PLAN_RATE_SHIFT, "the cost of a wait is in units of PLAN_COST");

static int64_t max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int lowest(uint64_t floors)
{
    return __builtin_ctzll(floors);
}

static int highest(uint64_t floors)
{
    return 63 - __builtin_clzll(floors);
}

/* Return the next floor at which a car that moves in *direction* from *floor* stops or turns. The car must have work
 * beyond *floor*. */
static int next_stop(int floor, int direction, const struct motion_work *work)
{
    uint64_t beyond = direction == UP ? ~(motion_bit(floor) | (motion_bit(floor) - 1)) : motion_bit(floor) - 1;
    uint64_t stops = (work->cab | motion_hall(direction, work)) & beyond;
    if (direction == UP)
        return stops != 0 ? lowest(stops) : highest(motion_every(work));
    return stops != 0 ? highest(stops) : lowest(motion_every(work));
}

static void note_passing(struct plan_passing *passing, int floor, int direction, int64_t from_ms, int64_t until_ms)
{
    int64_t *at_ms = &passing->at_ms[direction == UP][floor];
    if (until_ms >= passing->since_ms)
        *at_ms = plan_min(*at_ms, max(from_ms, passing->since_ms));
}

int64_t plan_simulate(struct plan_problem *p, int k, struct assign_share share, int scenario,
                      struct plan_passing *passing)
{
    const struct assign_car *car = &p->cars[k];
    const int64_t travel_ms = p->params->travel_ms, door_ms = p->params->door_ms;
    struct motion_work work = {share.up, share.down, car->cab};
    int floor = car->floor, direction = car->direction == UP ? UP : DOWN;
    bool departing = plan_is_open(car);
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
                    int64_t there_ms = t + travel_ms * plan_distance(floor, f);
                    note_passing(passing, f, direction, there_ms, there_ms);
                }
            t += travel_ms * plan_distance(floor, stop);
            floor = stop;
            assert(0 <= floor && floor < ASSIGN_MAX_FLOORS);
            departing = false;
            continue;
        }
        uint64_t here = motion_bit(floor), *hall = direction == UP ? &work.up : &work.down;
        work.cab &= ~here;
        if ((*hall & here) != 0) {
            int64_t rate = PATIENCE + (direction == UP ? p->rates->up[floor] : p->rates->down[floor]);
            int64_t joined_ms = plan_min(t, JOIN_MAX_MS), age_ms = p->age_ms[direction == UP][floor];
            *hall &= ~here;
            cost += PLAN_COST * t + ((rate * joined_ms + 2 * PATIENCE * age_ms) >> WAIT_SHIFT) * joined_ms;
            work.cab |= motion_bit(p->ahead[scenario][direction == UP][floor]);
        }
        if (passing != NULL)
            note_passing(passing, floor, direction, t, t + door_ms);
        t += door_ms;
        departing = true;
    }
    if (passing != NULL)
        for (int f = 0; f < p->params->floors; f++) {
            int64_t free_ms = max(t, passing->since_ms), there_ms = free_ms + travel_ms * plan_distance(floor, f);
            note_passing(passing, f, UP, there_ms, there_ms);
            note_passing(passing, f, DOWN, there_ms, there_ms);
        }
    return cost + p->end * t;
}

int64_t plan_cost(struct plan_problem *p, int k, struct assign_share share)
{
    int64_t cost = 0;
    if ((share.up | share.down | p->cars[k].cab) == 0 && p->cars[k].behaviour == ASSIGN_IDLE)
        return 0;
    for (int scenario = 0; scenario < PLAN_SCENARIOS; scenario++)
        cost += plan_simulate(p, k, share, scenario, NULL);
    return cost;
}

int64_t plan_trip_ms(const struct assign_params *params)
{
    return 2 * (int64_t)params->door_ms + (int64_t)params->travel_ms * params->floors * 2 / 3;
}

int64_t plan_load(const struct assign_params *params, int n, int64_t rate)
{
    return (PLAN_LOAD * rate * plan_trip_ms(params) / n) >> PLAN_RATE_SHIFT;
}

static int64_t price_end(const struct assign_params *params, int n, const struct plan_rates *rates)
{
    int64_t rate = 0;
    for (int f = 0; f < params->floors; f++)
        rate += rates->up[f] + rates->down[f];
    return END + LOADED_END * plan_min(plan_load(params, n, rate), LOADED_MAX) / PLAN_LOAD;
}

/* Return how many permille of the passengers who go down from the upper floors go to the lobby. */
static int to_lobby(int floors, const struct plan_rates *rates)
{
    int64_t up = 0, down = 0; /* from the upper floors */
    for (int f = 1; f < floors; f++) {
        up += rates->up[f];
        down += rates->down[f];
    }
    return down > up ? (int)((down - up) * PERMILLE / down) : 0;
}

/* Return the destination of passengers who enter at *floor*, if *lobby* permille of those who go down go to the lobby.
 * At an end floor, with no floor ahead, it is the neighbouring floor. */
static int destination(int floor, int direction, int floors, int scenario, int lobby)
{
    int ahead = direction == UP ? floors - 1 - floor : floor;
    if (ahead == 0)
        return floors == 1 ? floor : floor - direction;
    int permille = ((2 * scenario + 1) * PERMILLE / (2 * PLAN_SCENARIOS) + GOLDEN * floor) % PERMILLE;
    if (direction == UP || lobby == 0)
        return floor + direction * (1 + permille * ahead / PERMILLE);
    if (permille >= PERMILLE - lobby || floor == 1)
        return 0;
    return floor - 1 - permille * (ahead - 1) / (PERMILLE - lobby);
}

static int check(const struct assign_params *params, uint64_t floors, const struct assign_car *cars, int n,
                 const struct plan_rates *rates)
{
    struct assign_car plain[ASSIGN_MAX_CARS];
    for (int k = 0; k < n && n <= ASSIGN_MAX_CARS; k++) {
        plain[k] = cars[k];
        plain[k].behaviour = plan_is_open(&cars[k]) ? ASSIGN_DOOR_OPEN : cars[k].behaviour;
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

void plan_set_ages(struct plan_problem *p, const struct plan_waited *waited)
{
    for (int f = 0; f < p->params->floors; f++)
        for (int k = 0; k < PLAN_AGES; k++) {
            p->age_ms[0][f] += (waited->calls[k].down & motion_bit(f)) != 0 ? PLAN_AGE_MS : 0;
            p->age_ms[1][f] += (waited->calls[k].up & motion_bit(f)) != 0 ? PLAN_AGE_MS : 0;
        }
}

int plan_prepare(struct plan_problem *p, const struct assign_params *params, uint64_t floors,
                 const struct assign_car *cars, int n, const struct plan_rates *rates)
{
    int status = check(params, floors, cars, n, rates);
    if (status != ASSIGN_OK)
        return status;
    *p = (struct plan_problem){.params = params, .cars = cars, .rates = rates, .n = n};
    p->end = price_end(params, n, rates);
    const int lobby = to_lobby(params->floors, rates);
    for (int s = 0; s < PLAN_SCENARIOS; s++)
        for (int f = 0; f < params->floors; f++) {
            p->ahead[s][0][f] = (int8_t)destination(f, DOWN, params->floors, s, lobby);
            p->ahead[s][1][f] = (int8_t)destination(f, UP, params->floors, s, lobby);
        }
    return ASSIGN_OK;
}
