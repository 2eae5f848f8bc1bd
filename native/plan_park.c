/* Parking: puts idle cars near the next passengers.
 *
 * It minimises a sum over all buttons. The term of a button is its rate times the time that the nearest car needs, plus
 * a smaller part (SECOND) of the time that the second nearest needs. A busy car can serve a button when its plan passes
 * the button in its direction, or after the end of its plan. The time of a busy car is a mean over two moments: half
 * the expected time until the next passenger, and LATER_MS. By then, a car that is about to pass is gone.
 *
 * - The rate of every button is raised by that of unknown traffic, which grows with the load. Otherwise, in a busy
 *   building, cars would gather at the busiest button, leave with few passengers, and then be away.
 * - Each floor that a car moves to park has a price, which grows with the load. So in a busy building, cars rest higher
 *   up. They come to the lobby later, but take more passengers at once, and are near the passengers above the lobby.
 * - Sparing parking adds a price for a motor start, so that a car stays where it is if it would gain little.
 * - At a *main* button, such as the lobby's in an up-peak, more than two cars count. The price of the time of the k-th
 *   nearest is the chance that all nearer ones are away with passengers: Erlang's loss formula. It falls to zero for
 *   the last car, because the other buttons need one too.
 */
#include "plan.h"

#include <assert.h>
#include <stddef.h>

#include "plan_cost.h"

enum {
    MOMENTS = 2,
    WORK_MAX = 600000, /* comparisons of arrival times */
    ROUNDS_MAX = 4,
    PRICE = 256,          /* the unit of a price of parking is 1/256 ms of one person */
    SECOND = 98,          /* the price of each ms that the second nearest car needs, in units of 1 / PRICE */
    MOVE = 1000,          /* price in ms of a move through the whole building */
    START = 1000,         /* price in ms of a move, however short, for sparing parking */
    LOAD_MAX = 16 * PLAN_LOAD, /* a greater load adds no more to the two values that grow with it */
    LOADED_MOVE = 8,      /* price in ms of each floor of a move, times (load / cars) squared */
    LOADED_UNKNOWN = 45,  /* added to every rate: mean rate * LOADED_UNKNOWN / PLAN_LOAD * (load / PLAN_LOAD)^2 */
    RATE_UNKNOWN = 1,     /* people in 2^20 ms, added to every rate; any button can be the next */
    RATE_PRIOR = 10,      /* people in 2^20 ms, added to the sum of all rates */
    LATER_MS = 4000,
    MAIN = 2,       /* a main button has more than MAIN times the rate of all other buttons together */
    AWAY_TRIPS = 2, /* how long a car is away from a main button, in trips */
    FAR_MS = 1 << 24, /* bounds the arithmetic, far beyond any real time */
};

/* The two shortest times that cars need to serve a button. */
struct arrivals {
    int64_t first_ms, second_ms;
};

/* Return *known*, updated with the time of one more car. */
static struct arrivals with(struct arrivals known, int64_t ms)
{
    ms = plan_min(ms, FAR_MS);
    if (ms < known.first_ms)
        return (struct arrivals){ms, known.first_ms};
    return (struct arrivals){known.first_ms, plan_min(ms, known.second_ms)};
}

struct parking {
    struct arrivals busy[2][ASSIGN_MAX_FLOORS]; /* the arrivals of busy cars; down and up */
    int64_t weight[2][ASSIGN_MAX_FLOORS];
    int64_t weights;     /* their sum, with the main button's */
    int64_t floor_price; /* of each floor of a move, in units of 1 / PRICE */
    int64_t start_price; /* of a move, however short */
    bool has_main;
    int main_way, main_floor;              /* the main button */
    int64_t main_weight;                   /* its weight; *weight* is 0 there */
    int64_t main_price[ASSIGN_MAX_CARS];   /* the price of each ms that the k-th nearest car needs to it */
    int64_t main_busy_ms[ASSIGN_MAX_CARS]; /* the times that busy cars need to it */
    int from[ASSIGN_MAX_CARS]; /* the floor of a free car, or the next floor that it reaches */
};

static bool is_free(const struct assign_car *car, const struct assign_share *share)
{
    return (car->cab | share->up | share->down) == 0 && !plan_is_open(car);
}

/* Find the main button, if there is one, and set its prices. */
static void find_main(struct parking *parking, const struct plan_problem *p, int64_t trip_ms)
{
    const int *rates[2] = {p->rates->down, p->rates->up}, floors = p->params->floors, last = p->n - 1;
    int64_t most = -1, all = 0;
    for (int way = 0; way < 2; way++)
        for (int f = 0; f < floors; f++) {
            all += rates[way][f];
            if (parking->weight[way][f] > 0 && rates[way][f] > most) {
                most = rates[way][f];
                parking->main_way = way;
                parking->main_floor = f;
            }
        }
    parking->has_main = most > MAIN * (all - most);
    if (!parking->has_main)
        return;
    int64_t *weight = &parking->weight[parking->main_way][parking->main_floor];
    parking->main_weight = *weight;
    *weight = 0;
    /* PRICE times the mean number of cars that would be away if there were enough cars. */
    int64_t away = (PRICE * most * AWAY_TRIPS * trip_ms) >> PLAN_RATE_SHIFT;
    int64_t chance = PRICE;
    parking->main_price[0] = PRICE;
    for (int k = 1; k <= last; k++) {
        int64_t lost = away * chance / PRICE;
        chance = PRICE * lost / (PRICE * k + lost);
        parking->main_price[k] = chance * (last - k) / last;
    }
    if (last > 0 && parking->main_price[1] < SECOND)
        parking->main_price[1] = SECOND;
}

/* Set the weights of the buttons, the main button, and the price of each floor of a move. Return the expected time
 * until the next passenger comes. */
static int64_t weigh(struct parking *parking, const struct plan_problem *p)
{
    const int floors = p->params->floors;
    int64_t total = 0; /* without the people whose button is unknown: with them, parking is worse in an up-peak */
    for (int f = 0; f < floors; f++)
        total += p->rates->up[f] + (f > 0 ? p->rates->down[f] : 0);
    int64_t load = plan_min(plan_load(p->params, p->n, total), LOAD_MAX);
    int64_t loaded = total * load * load * LOADED_UNKNOWN / (PLAN_LOAD * PLAN_LOAD * PLAN_LOAD) / floors;
    int64_t unknown = plan_min(RATE_UNKNOWN + loaded, PLAN_MAX_RATE);
    parking->floor_price = (int64_t)PRICE * MOVE / floors + PRICE * LOADED_MOVE * load * load / p->n / p->n;
    parking->weights = 0;
    for (int f = 0; f < floors; f++) {
        parking->weight[0][f] = f > 0 ? p->rates->down[f] + unknown : 0;
        parking->weight[1][f] = f < floors - 1 ? p->rates->up[f] + unknown : 0;
        parking->weights += parking->weight[0][f] + parking->weight[1][f];
    }
    find_main(parking, p, plan_trip_ms(p->params));
    return (INT64_C(1) << PLAN_RATE_SHIFT) / (total + RATE_PRIOR);
}

/* Add the times that busy car *k* needs to serve the buttons: means over the moments *since_ms* and the scenarios. */
static void add_busy(struct parking *parking, struct plan_problem *p, int k, const struct assign_share *share,
                     const int64_t since_ms[MOMENTS])
{
    int64_t sum_ms[2][ASSIGN_MAX_FLOORS] = {{0}};
    const int floors = p->params->floors;
    for (int each = 0; each < MOMENTS * PLAN_SCENARIOS; each++) {
        struct plan_passing passing = {.since_ms = since_ms[each % MOMENTS]};
        for (int f = 0; f < floors; f++)
            passing.at_ms[0][f] = passing.at_ms[1][f] = INT64_MAX;
        plan_simulate(p, k, *share, each / MOMENTS, &passing);
        for (int f = 0; f < floors; f++) {
            sum_ms[0][f] += passing.at_ms[0][f] - passing.since_ms;
            sum_ms[1][f] += passing.at_ms[1][f] - passing.since_ms;
        }
    }
    for (int f = 0; f < floors; f++) {
        parking->busy[0][f] = with(parking->busy[0][f], sum_ms[0][f] / (MOMENTS * PLAN_SCENARIOS));
        parking->busy[1][f] = with(parking->busy[1][f], sum_ms[1][f] / (MOMENTS * PLAN_SCENARIOS));
    }
    if (parking->has_main) {
        int64_t main_ms = sum_ms[parking->main_way][parking->main_floor] / (MOMENTS * PLAN_SCENARIOS);
        parking->main_busy_ms[k] = plan_min(main_ms, FAR_MS);
    }
}

/* List the times that all cars but car *k* need to the main button, in ascending order. */
static void list_main(const struct parking *parking, const struct plan_problem *p, int k, const int *targets,
                      int64_t *main_ms)
{
    int count = 0;
    for (int i = 0; i < p->n; i++) {
        if (i == k)
            continue;
        int64_t ms = targets[i] < 0 ? parking->main_busy_ms[i]
                                    : (int64_t)p->params->travel_ms * plan_distance(targets[i], parking->main_floor);
        int at = count++;
        for (; at > 0 && main_ms[at - 1] > ms; at--)
            main_ms[at] = main_ms[at - 1];
        main_ms[at] = ms;
    }
}

/* Return the price of the main button if one car needs *ms*. *main_ms* are the times of the others. */
static int64_t price_main(const struct parking *parking, int others, const int64_t *main_ms, int64_t ms)
{
    int64_t sum = 0;
    for (int k = 0; k < others; k++) {
        sum += parking->main_price[k] * plan_min(main_ms[k], ms);
        ms = main_ms[k] > ms ? main_ms[k] : ms;
    }
    return parking->main_weight * (sum + parking->main_price[others] * ms);
}

/* Return the price if a car goes from floor *from* to *target* and waits there. *others* are the times of the other
 * cars; *main_ms* are their times to the main button. */
static int64_t price(const struct parking *parking, const struct plan_problem *p, int target, int from,
                     struct arrivals others[2][ASSIGN_MAX_FLOORS], const int64_t *main_ms)
{
    int64_t move = target == from ? 0 : parking->start_price + parking->floor_price * plan_distance(target, from);
    int64_t sum = move * parking->weights;
    for (int f = 0; f < p->params->floors; f++) {
        int64_t ms = (int64_t)p->params->travel_ms * plan_distance(target, f);
        for (int way = 0; way < 2; way++) {
            struct arrivals all = with(others[way][f], ms);
            sum += parking->weight[way][f] * (PRICE * all.first_ms + SECOND * all.second_ms);
        }
    }
    if (parking->has_main) {
        int64_t ms = (int64_t)p->params->travel_ms * plan_distance(target, parking->main_floor);
        sum += price_main(parking, p->n - 1, main_ms, ms);
    }
    return sum;
}

/* Choose the best floor for car *k* while the others wait at *targets*. Return true if its target changes. */
static bool improve(const struct parking *parking, struct plan_problem *p, int k, int *targets)
{
    assert(0 <= targets[k] && targets[k] < p->params->floors);
    struct arrivals others[2][ASSIGN_MAX_FLOORS];
    const int floors = p->params->floors;
    for (int f = 0; f < floors; f++)
        for (int way = 0; way < 2; way++) {
            others[way][f] = parking->busy[way][f];
            for (int i = 0; i < p->n; i++)
                if (i != k && targets[i] >= 0)
                    others[way][f] = with(others[way][f], (int64_t)p->params->travel_ms * plan_distance(targets[i], f));
        }
    p->work += (long)2 * floors * (p->n + floors);
    int64_t main_ms[ASSIGN_MAX_CARS];
    if (parking->has_main) {
        list_main(parking, p, k, targets, main_ms);
        p->work += (long)floors * p->n;
    }
    int best = targets[k];
    int64_t bound = price(parking, p, best, parking->from[k], others, main_ms);
    for (int floor = 0; floor < floors; floor++) {
        int64_t sum = price(parking, p, floor, parking->from[k], others, main_ms);
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
              int n, const struct plan_rates *rates, bool sparing, int *targets, long *work)
{
    struct plan_problem p;
    struct parking parking;
    uint64_t hall = 0;
    for (int k = 0; k < n && n <= ASSIGN_MAX_CARS; k++)
        hall |= shares[k].up | shares[k].down;
    int status = plan_prepare(&p, params, hall, cars, n, rates);
    if (status != ASSIGN_OK)
        return status;
    parking.start_price = sparing ? (int64_t)PRICE * START : 0;
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
    for (int round = 0; round < ROUNDS_MAX && changed; round++) {
        changed = false;
        for (int k = 0; k < n && p.work < WORK_MAX; k++)
            if (targets[k] >= 0 && improve(&parking, &p, k, targets))
                changed = true;
    }
    if (work != NULL)
        *work = p.work;
    return ASSIGN_OK;
}
