/* The plan-cost assigner, and where idle cars wait. Conventions as in assign.h.
 *
 * Both are pure functions of what the nodes tell each other: no clock, no memory of earlier answers, integers only. A
 * counter bounds their work.
 */
#ifndef ELEVATOR_PLAN_H
#define ELEVATOR_PLAN_H

#include "assign.h"

/* A car's behaviour besides those in assign.h: its door is open and obstructed. */
enum { PLAN_OBSTRUCTED = 3 };

#define PLAN_MAX_RATE 65535
#define PLAN_MAX_MS 3600000 /* a duration is 0 to this */

#define PLAN_RATE_SHIFT 20 /* a rate is a number of people in 2^20 ms, 17.5 minutes */

/* The rate at which people come to each hall button, as far as the group has learned it. */
struct plan_rates {
    int up[ASSIGN_MAX_FLOORS];
    int down[ASSIGN_MAX_FLOORS];
};

/* Share out the hall calls so that people wait as little as possible. *claims* are the calls that each car said last to
 * be its own; there may be calls in them that are not lit. Otherwise as assign_reference; params->clear_all is not
 * looked at: a stop serves the announced direction. *work*, if it is not NULL, tells what it took, in steps of a
 * simulated car. */
int plan_assign(const struct assign_params *params, uint64_t up, uint64_t down, const struct assign_car *cars,
                const struct assign_share *claims, int n, const struct plan_rates *rates, struct assign_share *out,
                long *work);

/* Choose where each car that has nothing to do should wait: targets[k] is a floor, or -1 for a car that is not free.
 * Free is who has no cab call, no *shares* and its door shut. */
int plan_park(const struct assign_params *params, const struct assign_car *cars, const struct assign_share *shares,
              int n, const struct plan_rates *rates, int *targets, long *work);

#endif
