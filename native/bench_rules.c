/* Three simple rules that assign calls, for comparison. They assign all calls again at every decision.
 *
 * - Estimated time of arrival: the sum of the times at which the calls are served should be small. Among all pairs of
 *   an unassigned call and a car, take the pair that adds least to the sum. Repeat until every call has a car.
 * - Nearest car: a call goes to the car with the greatest figure of suitability. For a call at distance d in a building
 *   whose top floor is N, the figure is N + 2 - d if the car is idle, or approaches and moves in the direction of the
 *   call. It is N + 1 - d if the car approaches in the other direction, and 1 if it moves away.
 * - Longest queue first (Bao et al. 1994, as described by Crites and Barto 1998): cars that are empty or move up are
 *   sent to the queues that have waited longest. A car also takes any other call that it encounters in its direction. A
 *   call can be without a car for a while.
 */
#include <assert.h>

#include "bench_group.h"

enum { CALLS_MAX = 2 * ASSIGN_MAX_FLOORS };

/* A hall call. *way* is 0 for down and 1 for up. */
struct call {
    int floor, way;
};

static int list_calls(uint64_t up, uint64_t down, struct call *calls)
{
    int count = 0;
    for (int way = 0; way < 2; way++)
        for (uint64_t left = way == 1 ? up : down; left != 0; left &= left - 1)
            calls[count++] = (struct call){__builtin_ctzll(left), way};
    return count;
}

static void add(struct assign_share *share, const struct call *call)
{
    *(call->way == 1 ? &share->up : &share->down) |= motion_bit(call->floor);
}

/* Return the sum of the times at which *car* serves the calls of *share*. */
static int64_t arrivals_ms(const struct assign_params *params, const struct assign_car *car, struct assign_share share)
{
    struct motion_work work = {share.up, share.down, car->cab};
    int floor = car->floor, direction = car->direction;
    bool departing = car->behaviour == ASSIGN_DOOR_OPEN;
    int64_t sum = 0, t = departing ? params->door_ms / 2 : 0;
    if (car->behaviour == ASSIGN_MOVING) {
        floor += direction;
        t = params->travel_ms / 2;
    }
    while ((work.up | work.down) != 0) {
        struct motion_move next = motion_decide(floor, direction, &work, departing);
        assert(next.behaviour != ASSIGN_IDLE);
        direction = next.direction;
        departing = next.behaviour == ASSIGN_DOOR_OPEN;
        if (departing) {
            uint64_t here = motion_bit(floor), *hall = direction == UP ? &work.up : &work.down;
            sum += (*hall & here) != 0 ? t : 0;
            *hall &= ~here;
            work.cab &= ~here;
            t += params->door_ms;
        } else {
            floor += direction;
            t += params->travel_ms;
        }
    }
    return sum;
}

/* Return how much *call* adds to the arrival times of *car*. */
static int64_t added_ms(const struct assign_params *params, const struct assign_car *car, struct assign_share share,
                        const struct call *call)
{
    int64_t without_ms = arrivals_ms(params, car, share);
    add(&share, call);
    return arrivals_ms(params, car, share) - without_ms;
}

void bench_assign_eta(const struct assign_params *params, const struct bench_view *view, int n, uint64_t up,
                      uint64_t down, struct assign_share *shares)
{
    struct call calls[CALLS_MAX];
    int64_t ms[CALLS_MAX][ASSIGN_MAX_CARS];
    int count = list_calls(up, down, calls);
    for (int j = 0; j < count; j++)
        for (int k = 0; k < n; k++)
            ms[j][k] = added_ms(params, &view->cars[k], shares[k], &calls[j]);
    for (; count > 0; count--) {
        int call = 0, car = 0;
        for (int j = 0; j < count; j++)
            for (int k = 0; k < n; k++)
                if (ms[j][k] < ms[call][car]) {
                    call = j;
                    car = k;
                }
        add(&shares[car], &calls[call]);
        calls[call] = calls[count - 1];
        for (int k = 0; k < n; k++)
            ms[call][k] = ms[count - 1][k];
        for (int j = 0; j < count - 1; j++)
            ms[j][car] = added_ms(params, &view->cars[car], shares[car], &calls[j]);
    }
}

static int suitability(const struct assign_car *car, const struct call *call, int floors)
{
    int floor = car->floor + (car->behaviour == ASSIGN_MOVING ? car->direction : 0), above = call->floor - floor;
    int near = floors + 1 - (above < 0 ? -above : above); /* The top floor is floors - 1. */
    if (car->cab == 0 && car->behaviour == ASSIGN_IDLE)
        return near;
    if (above * car->direction < 0)
        return 1;
    return (car->direction == UP) == (call->way == 1) ? near : near - 1;
}

void bench_assign_nearest(const struct bench_view *view, int n, int floors, uint64_t up, uint64_t down,
                          struct assign_share *shares)
{
    struct call calls[CALLS_MAX];
    int count = list_calls(up, down, calls);
    for (int j = 0; j < count; j++) {
        int best = 0;
        for (int k = 1; k < n; k++)
            if (suitability(&view->cars[k], &calls[j], floors) > suitability(&view->cars[best], &calls[j], floors))
                best = k;
        add(&shares[best], &calls[j]);
    }
}

static bool has(const struct assign_share *share, const struct call *call)
{
    return ((call->way == 1 ? share->up : share->down) >> call->floor & 1) != 0;
}

/* Return whether *car* can be sent to a queue: it moves up, or is empty, and its door is closed. */
static bool can_be_sent(const struct assign_car *car)
{
    return car->behaviour != ASSIGN_DOOR_OPEN && (car->cab == 0 || car->direction == UP);
}

/* Return whether *car* will pass the floor of *call* in the direction of *call*. An idle car that has work is about to
 * pass its floor. */
static bool encounters(const struct assign_car *car, const struct assign_share *claims, const struct call *call)
{
    int ahead = (call->floor - car->floor) * car->direction;
    bool has_work = (car->cab | claims->up | claims->down) != 0;
    bool is_ahead = car->behaviour == ASSIGN_IDLE ? ahead >= 0 && has_work : ahead > 0;
    return is_ahead && (car->direction == UP) == (call->way == 1);
}

static int distance(const struct assign_car *car, const struct call *call)
{
    int above = call->floor - car->floor - (car->behaviour == ASSIGN_MOVING ? car->direction : 0);
    return above < 0 ? -above : above;
}

static void sort_by_age(const struct bench_view *view, struct call *calls, int count)
{
    for (int j = 1; j < count; j++)
        for (int i = j; i > 0; i--) {
            struct call older = calls[i], newer = calls[i - 1];
            if (view->since_ms[newer.way][newer.floor] <= view->since_ms[older.way][older.floor])
                break;
            calls[i - 1] = older;
            calls[i] = newer;
        }
}

/* Return the car to send to *call*, among those that can be sent: the one that claims it, or else the nearest. Return
 * -1 if there is none. */
static int car_to_send(const struct bench_view *view, int n, const struct call *call, const bool *is_sent)
{
    int found = -1, least = CALLS_MAX;
    for (int k = 0; k < n; k++) {
        int away = distance(&view->cars[k], call) - (has(&view->claims[k], call) ? CALLS_MAX : 0);
        if (can_be_sent(&view->cars[k]) && !is_sent[k] && away < least) {
            least = away;
            found = k;
        }
    }
    return found;
}

/* Return the car that will be first to encounter *call*, or -1. */
static int car_to_encounter(const struct bench_view *view, int n, const struct call *call)
{
    int found = -1, least = CALLS_MAX;
    for (int k = 0; k < n; k++)
        if (encounters(&view->cars[k], &view->claims[k], call) && distance(&view->cars[k], call) < least) {
            least = distance(&view->cars[k], call);
            found = k;
        }
    return found;
}

void bench_assign_lqf(const struct bench_view *view, int n, uint64_t up, uint64_t down, struct assign_share *shares)
{
    struct call calls[CALLS_MAX];
    bool is_sent[ASSIGN_MAX_CARS] = {false};
    int count = list_calls(up, down, calls);
    sort_by_age(view, calls, count);
    for (int j = 0; j < count; j++) {
        int car = car_to_send(view, n, &calls[j], is_sent);
        if (car >= 0)
            is_sent[car] = true;
        else
            car = car_to_encounter(view, n, &calls[j]);
        if (car >= 0)
            add(&shares[car], &calls[j]);
    }
}
