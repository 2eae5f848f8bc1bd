/* The cost of a share, which the plan-cost assigner (plan.c) minimises.
 *
 * A simulation finds the cost: the car serves the share by the rules of motion.h, from stop to stop. The cost is the
 * sum of the costs of all waits, plus a price for each ms until the car is done. A car that is done sooner reaches the
 * next passenger sooner. That is worth more in heavy traffic, so the price grows with the load. Parking (plan_park.c)
 * uses the same simulation to find out when busy cars can serve a button.
 *
 * Durations are nominal. A moving car is half way between two floors. An open door is half way through its dwell time,
 * an obstructed door at its start.
 *
 * - More passengers gather at a button while it is lit. A call served after t ms costs t + rate * t * t / 2. The rate
 *   is the learned one plus PATIENCE. So one long wait is worse than two of half the time, even where few people come.
 * - A call with a published age costs PATIENCE * age * t more. So its wait counts from the start, as in a sum of
 *   squared waits. The nodes must agree on the ages, so these are coarse and published.
 * - Each passenger who enters presses a cab button. So each served call adds a cab call. The cost is the sum over two
 *   scenarios. For a call at floor 0, the cab call is at a quarter of the floors ahead in one scenario, and at three
 *   quarters in the other. From floor to floor, both move on by a golden section of the floors ahead and wrap around,
 *   so that neighbouring floors have different destinations.
 *   Of the passengers who go down, many go to the lobby, which therefore counts as more than one of the floors ahead.
 *   The learned rates tell how many: between the upper floors, about as many people go up as down.
 *
 * Every constant in plan.c, plan_cost.c and plan_park.c was chosen by measurement (`elevator bench dispatch`). Results
 * change little around these values.
 */
#ifndef ELEVATOR_PLAN_COST_H
#define ELEVATOR_PLAN_COST_H

#include <assert.h>

#include "motion.h"
#include "plan.h"

enum {
    PLAN_SCENARIOS = 2,
    PLAN_COST = 64, /* the unit of cost is 1/64 ms of one person */
    PLAN_LOAD = 16, /* the unit of load is 1 / PLAN_LOAD of what one car can carry alone */
};

static_assert(ASSIGN_MAX_FLOORS - 1 <= INT8_MAX, "a floor fits int8_t");

struct plan_problem {
    const struct assign_params *params;
    const struct assign_car *cars;
    const struct plan_rates *rates;
    int n;
    int64_t end; /* the price of each ms until a car is done, in units of 1 / PLAN_COST */
    long work; /* steps of simulated cars so far; parking adds its comparisons of arrival times */
    int64_t age_ms[2][ASSIGN_MAX_FLOORS]; /* how long each call has waited; down and up. 0 in parking */
    int8_t ahead[PLAN_SCENARIOS][2][ASSIGN_MAX_FLOORS]; /* destinations of passengers who enter; down and up */
};

/* When a car can first serve each button, from *since_ms* on; down and up. The caller of plan_simulate sets since_ms,
 * and all other times to INT64_MAX. */
struct plan_passing {
    int64_t since_ms;
    int64_t at_ms[2][ASSIGN_MAX_FLOORS];
};

/* Check the input and set up *p*. *floors* contains every floor with a hall call. Return an enum assign_status. */
int plan_prepare(struct plan_problem *p, const struct assign_params *params, uint64_t floors,
                 const struct assign_car *cars, int n, const struct plan_rates *rates);

/* Set the ages of the calls, which plan_prepare sets to 0. */
void plan_set_ages(struct plan_problem *p, const struct plan_waited *waited);

/* Return how long a trip with one passenger takes. It includes two stops. The distance without the passenger and the
 * distance with the passenger are each a third of the building. */
int64_t plan_trip_ms(const struct assign_params *params);

/* Return the load of each of *n* cars, in units of 1 / PLAN_LOAD, if people come to all buttons together at *rate*. */
int64_t plan_load(const struct assign_params *params, int n, int64_t rate);

/* Let car *k* serve its cab calls and the hall calls of *share*. Return the cost. *passing*, if not NULL, gets the time
 * at which the car can first serve each button. */
int64_t plan_simulate(struct plan_problem *p, int k, struct assign_share share, int scenario,
                      struct plan_passing *passing);

/* Return the cost of *share* for car *k*, summed over the scenarios. */
int64_t plan_cost(struct plan_problem *p, int k, struct assign_share share);

static inline bool plan_is_open(const struct assign_car *car)
{
    return car->behaviour == ASSIGN_DOOR_OPEN || car->behaviour == PLAN_OBSTRUCTED;
}

static inline int plan_distance(int a, int b)
{
    return a > b ? a - b : b - a;
}

static inline int64_t plan_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
