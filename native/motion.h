/* The rules of one car, over bit masks of floors. elevator/core/motion.py has the same rules and explains them.
 *
 * The rules exist twice: in Python, because the rest of the car is in Python, and in C, because the simulated cars must
 * be fast. A test compares both for all states of a small building.
 */
#ifndef ELEVATOR_MOTION_H
#define ELEVATOR_MOTION_H

#include "assign.h"

/* The calls that a car has to serve. */
struct motion_work {
    uint64_t up, down, cab;
};

/* The next action of a car. */
struct motion_move {
    int behaviour; /* enum assign_behaviour */
    int direction;
};

static inline uint64_t motion_bit(int floor)
{
    return UINT64_C(1) << floor;
}

static inline uint64_t motion_every(const struct motion_work *work)
{
    return work->up | work->down | work->cab;
}

static inline bool motion_has_work_beyond(int floor, int direction, const struct motion_work *work)
{
    uint64_t every = motion_every(work);
    return direction == UP ? every >> floor >> 1 != 0 : (every & (motion_bit(floor) - 1)) != 0;
}

static inline uint64_t motion_hall(int direction, const struct motion_work *work)
{
    return direction == UP ? work->up : work->down;
}

static inline int motion_announced(int floor, int direction, const struct motion_work *work)
{
    uint64_t here = motion_bit(floor);
    if ((motion_hall(direction, work) & here) != 0 || motion_has_work_beyond(floor, direction, work))
        return direction;
    if ((motion_hall(-direction, work) & here) != 0 || motion_has_work_beyond(floor, -direction, work))
        return -direction;
    return direction;
}

static inline struct motion_move motion_decide(int floor, int direction, const struct motion_work *work, bool departing)
{
    uint64_t here = motion_bit(floor);
    bool stays = ((work->cab | motion_hall(direction, work)) & here) != 0;
    if (stays && !departing)
        return (struct motion_move){ASSIGN_DOOR_OPEN, motion_announced(floor, direction, work)};
    if (motion_has_work_beyond(floor, direction, work))
        return (struct motion_move){ASSIGN_MOVING, direction};
    if ((motion_hall(-direction, work) & here) != 0)
        return (struct motion_move){ASSIGN_DOOR_OPEN, -direction};
    if (motion_has_work_beyond(floor, -direction, work))
        return (struct motion_move){ASSIGN_MOVING, -direction};
    return (struct motion_move){stays ? ASSIGN_DOOR_OPEN : ASSIGN_IDLE, direction};
}

#endif
