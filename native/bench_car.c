/* The actions of a simulated car, by the rules of elevator/core/act.py. */
#include <assert.h>

#include "bench_group.h"

static int64_t later(int64_t a_ms, int64_t b_ms)
{
    return a_ms > b_ms ? a_ms : b_ms;
}

static void serve_call(struct bench_group *g, int k, int way, int floor)
{
    struct bench_view *view = bench_view_of(g, k);
    struct bench_car *car = &g->cars[k];
    const int floors = g->config->floors;
    int rate = way == 1 ? view->rates.up[floor] : view->rates.down[floor];
    int64_t age_ms = g->now_ms - view->since_ms[way][floor];
    view->served[way][floor] = view->pressed[way][floor];
    bench_update_lamp(g, view, way, floor);
    g->owner[way][floor] = BENCH_NOBODY;
    const struct bench_learning *learning = &g->config->learning;
    bench_learn(&car->learned, learning, floors, floor, way == 1 ? UP : DOWN, age_ms, rate, g->now_ms);
    struct plan_rates *mine = &view->learned[k], before = *mine;
    bench_learned_rates(&car->learned, learning, floors, g->now_ms, mine);
    for (int f = 0; f < floors; f++) {
        view->rates.up[f] += mine->up[f] - before.up[f];
        view->rates.down[f] += mine->down[f] - before.down[f];
    }
}

/* Return the calls that *car* answers. */
static struct motion_work work_of(const struct bench_car *car)
{
    return (struct motion_work){car->share.up, car->share.down, car->cab};
}

/* Return the work of car *k*, with all hall calls at its floor added. */
static struct motion_work work_here(struct bench_group *g, int k)
{
    const struct bench_view *view = bench_view_of(g, k);
    const struct bench_car *car = &g->cars[k];
    uint64_t here = motion_bit(car->floor);
    return (struct motion_work){car->share.up | (view->hall[1] & here), car->share.down | (view->hall[0] & here),
                                car->cab};
}

static void unload(struct bench_group *g, struct bench_car *car)
{
    int *riders = &car->riders[car->floor];
    for (int passenger = *riders; passenger != BENCH_NOBODY; passenger = g->passengers[passenger].next) {
        const struct bench_trip *trip = &g->trips[passenger];
        car->clear_at_ms += trip->leave_ms;
        g->journeys_ms[passenger] = car->clear_at_ms - trip->at_ms;
        assert(car->load > 0 && g->riding > 0);
        car->load--;
        g->riding--;
    }
    *riders = BENCH_NOBODY;
    car->cab &= ~motion_bit(car->floor);
}

static void board(struct bench_group *g, struct bench_car *car, int way)
{
    int *queue = &g->queue[way][car->floor];
    while (*queue != BENCH_NOBODY && (g->config->capacity == 0 || car->load < g->config->capacity)) {
        int passenger = *queue;
        const struct bench_trip *trip = &g->trips[passenger];
        int to = (int)trip->to;
        *queue = g->passengers[passenger].next;
        car->clear_at_ms += trip->enter_ms;
        g->waits_ms[passenger] = car->clear_at_ms - trip->at_ms;
        g->passengers[passenger].next = car->riders[to];
        car->riders[to] = passenger;
        car->cab |= motion_bit(to);
        car->load++;
        assert(g->waiting > 0);
        g->waiting--;
        g->riding++;
    }
    if (*queue != BENCH_NOBODY)
        car->full[way] |= motion_bit(car->floor);
}

/* Serve the hall call in the direction of car *k*, if it is lit, and let its passengers enter. */
static void serve_hall_call(struct bench_group *g, int k)
{
    struct bench_car *car = &g->cars[k];
    int way = car->direction == UP;
    car->announced = true;
    if ((bench_view_of(g, k)->hall[way] >> car->floor & 1) != 0)
        serve_call(g, k, way, car->floor);
    *(way == 1 ? &car->share.up : &car->share.down) &= ~motion_bit(car->floor);
    board(g, car, way);
}

/* Serve the calls that an open door serves, by the rules of `serve` in act.py. */
static void serve_open_door(struct bench_group *g, int k)
{
    struct bench_car *car = &g->cars[k];
    struct motion_work all = work_here(g, k), mine = work_of(car);
    int direction = car->direction;
    if (g->now_ms < car->opened_at_ms)
        bench_note_due(g, car->opened_at_ms);
    if (g->now_ms < car->opened_at_ms || g->now_ms >= car->opened_at_ms + g->config->door_extension_ms)
        return;
    if (!car->announced && !motion_has_work_beyond(car->floor, direction, &mine))
        direction = motion_announced(car->floor, direction, &all);
    uint64_t here = motion_bit(car->floor);
    bool has_hall = (motion_hall(direction, &all) & here) != 0, has_cab = (car->cab & here) != 0;
    if (!has_hall && !has_cab)
        return;
    car->direction = direction;
    car->clear_at_ms = later(car->clear_at_ms, g->now_ms);
    unload(g, car);
    if (has_hall)
        serve_hall_call(g, k);
    car->next_at_ms = car->clear_at_ms + g->config->times.dwell_ms;
}

/* Let passengers who found no room press again, because the door closes. */
static void press_again(struct bench_group *g, int k)
{
    struct bench_car *car = &g->cars[k];
    for (int way = 0; way < 2; way++)
        if (car->full[way] != 0) {
            int floor = __builtin_ctzll(car->full[way]);
            car->full[way] = 0;
            if (g->queue[way][floor] != BENCH_NOBODY)
                bench_press(g, bench_view_of(g, k), way, floor);
        }
}

static void depart(struct bench_group *g, struct bench_car *car, int direction)
{
    const struct bench_times *times = &g->config->times;
    int64_t turn_ms = direction == car->heading ? 0 : times->turn_ms;
    if (car->is_arriving && direction == car->heading)
        car->next_at_ms = g->now_ms + times->pass_ms;
    else
        car->next_at_ms = later(g->now_ms, car->still_at_ms) + turn_ms + times->start_ms;
    car->behaviour = ASSIGN_MOVING;
    car->direction = car->heading = direction;
}

/* Apply a decision made at a floor, as `carry_out` in act.py does. */
static void apply(struct bench_group *g, int k, struct motion_move next)
{
    struct bench_car *car = &g->cars[k];
    if (car->behaviour == ASSIGN_DOOR_OPEN)
        press_again(g, k);
    if (car->is_arriving)
        car->still_at_ms = g->now_ms + g->config->times.brake_ms;
    switch (next.behaviour) {
    case ASSIGN_MOVING:
        g->counts->starts += !car->is_arriving || next.direction != car->direction;
        g->counts->turns += car->is_arriving && next.direction != car->direction;
        depart(g, car, next.direction);
        break;
    case ASSIGN_IDLE:
        g->counts->turns += car->is_arriving && car->target < 0;
        car->behaviour = ASSIGN_IDLE;
        car->direction = next.direction;
        car->next_at_ms = BENCH_NEVER;
        car->idle_at_ms = g->now_ms;
        break;
    default:
        car->behaviour = ASSIGN_DOOR_OPEN;
        car->direction = next.direction;
        car->announced = false;
        car->opened_at_ms = later(g->now_ms, car->still_at_ms) + g->config->times.open_ms;
        car->next_at_ms = car->opened_at_ms + g->config->times.dwell_ms;
        serve_open_door(g, k);
    }
    car->is_arriving = false;
}

void bench_act(struct bench_group *g, int k)
{
    struct bench_car *car = &g->cars[k];
    if (car->behaviour == ASSIGN_MOVING)
        return;
    if (car->behaviour == ASSIGN_DOOR_OPEN) {
        serve_open_door(g, k);
        if (g->now_ms >= car->next_at_ms) {
            struct motion_work work = work_here(g, k);
            apply(g, k, motion_decide(car->floor, car->direction, &work, true));
        }
        return;
    }
    struct motion_work work = work_of(car);
    struct motion_move next = motion_decide(car->floor, car->direction, &work, false);
    if (next.behaviour == ASSIGN_IDLE && car->target >= 0 && car->target != car->floor) {
        int64_t park_at_ms = car->is_arriving ? g->now_ms : car->idle_at_ms + g->config->park_after_ms;
        bench_note_due(g, park_at_ms);
        if (g->now_ms >= park_at_ms)
            next = (struct motion_move){ASSIGN_MOVING, car->target > car->floor ? UP : DOWN};
    }
    if (car->is_arriving || next.behaviour != ASSIGN_IDLE)
        apply(g, k, next);
}
