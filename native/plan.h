/* The plan-cost assigner and parking. Conventions as in assign.h.
 *
 * Both are pure functions of what the cars publish: they use no clock, no earlier answers and no floating point. A
 * counter bounds their work.
 */
#ifndef ELEVATOR_PLAN_H
#define ELEVATOR_PLAN_H

#include "assign.h"

/* One more behaviour of a car: its door is open and obstructed. */
enum { PLAN_OBSTRUCTED = 3 };

#define PLAN_MAX_RATE 65535
#define PLAN_MAX_MS 3600000 /* durations are 0 to one hour */

#define PLAN_RATE_SHIFT 20 /* a rate is a number of people in 2^20 ms, 17.5 minutes */

/* The rates at which people come to the hall buttons, learned by the group. Floor 0 has no down button: down[0] is the
 * rate of people whose button is unknown. */
struct plan_rates {
    int up[ASSIGN_MAX_FLOORS];
    int down[ASSIGN_MAX_FLOORS];
};

#define PLAN_AGES 2
#define PLAN_AGE_MS 15000

/* The hall calls that have waited long: calls[k] are those that have waited for at least (k + 1) * PLAN_AGE_MS. */
struct plan_waited {
    struct assign_share calls[PLAN_AGES];
};

/* Assign the hall calls so that passengers wait as little as possible. *claims* are the last published claims of each
 * car. They and *waited* may contain calls that are not lit. The function ignores has_empty_id and clear_all: a stop
 * serves only the announced direction. *work*, if not NULL, gets the number of steps of simulated cars. The rest is as
 * in assign_reference. */
int plan_assign(const struct assign_params *params, uint64_t up, uint64_t down, const struct assign_car *cars,
                const struct assign_share *claims, int n, const struct plan_rates *rates,
                const struct plan_waited *waited, struct assign_share *out, long *work);

/* Choose a floor for each free car to wait at. A free car has no cab call, an empty share and a closed door. If car k
 * is not free, targets[k] is -1. If *sparing* is true, a car moves only if the next passenger then waits a second less
 * on average. *work*, if not NULL, also counts comparisons of arrival times. Return an enum assign_status. */
int plan_park(const struct assign_params *params, const struct assign_car *cars, const struct assign_share *shares,
              int n, const struct plan_rates *rates, bool sparing, int *targets, long *work);

#endif
