/* How a simulated car learns the traffic, by the rules of elevator/core/traffic.py. */
#include "bench.h"

enum { SIXTEENTHS = 16 /* of a person: the unit of counts */ };

void bench_learn(struct bench_learned *learned, const struct bench_learning *learning, int floors, int floor,
                 int direction, int64_t age_ms, int rate, int64_t now_ms)
{
    int64_t total = 0;
    learned->people[direction == UP][floor] += SIXTEENTHS + (SIXTEENTHS * rate * age_ms >> PLAN_RATE_SHIFT);
    for (int f = 0; f < floors; f++)
        total += learned->people[0][f] + learned->people[1][f];
    if (total <= (int64_t)SIXTEENTHS * learning->people_max)
        return;
    learned->since_ms = now_ms - (now_ms - learned->since_ms) / 2;
    for (int f = 0; f < floors; f++) {
        learned->people[0][f] /= 2;
        learned->people[1][f] /= 2;
    }
}

void bench_learned_rates(const struct bench_learned *learned, const struct bench_learning *learning, int floors,
                         int64_t now_ms, struct plan_rates *rates)
{
    int64_t span_ms = now_ms - learned->since_ms + learning->prior_ms, fractions = 0;
    for (int way = 0; way < 2; way++)
        for (int f = 0; f < floors; f++) {
            int64_t people = (learned->people[way][f] << PLAN_RATE_SHIFT) / SIXTEENTHS, rate = people / span_ms;
            (way == 1 ? rates->up : rates->down)[f] = rate < learning->rate_max ? (int)rate : learning->rate_max;
            fractions += people % span_ms;
        }
    rates->down[0] = (int)(fractions / span_ms);
}
