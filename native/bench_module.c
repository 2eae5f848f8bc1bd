/* elevator._bench: the dispatch benchmark of bench.h as Python functions. Nodes do not load it. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <limits.h>

#include "bench.h"

PyDoc_STRVAR(learn_doc, "learn($module, floors, services, /)\n--\n\nDo what elevator.traffic does with the services, "
                        "each (now_ms, floor, direction, age_ms, rate): return (up rates, down rates).");

static PyObject *learn(PyObject *module, PyObject *args)
{
    (void)module;
    int floors;
    PyObject *services;
    struct bench_learned learned = {{{0}}, 0};
    struct plan_rates rates = {{0}, {0}};
    if (!PyArg_ParseTuple(args, "iO!:learn", &floors, &PyTuple_Type, &services))
        return NULL;
    if (floors < 1 || floors > ASSIGN_MAX_FLOORS) {
        PyErr_SetString(PyExc_ValueError, assign_message(ASSIGN_FLOORS));
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(services); i++) {
        long long now_ms, age_ms;
        int floor, direction, rate;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(services, i), "LiiLi", &now_ms, &floor, &direction, &age_ms, &rate))
            return NULL;
        if (floor < 0 || floor >= floors) {
            PyErr_SetString(PyExc_ValueError, "a service at a floor that does not exist");
            return NULL;
        }
        bench_learn(&learned, floors, floor, direction, age_ms, rate, now_ms);
        bench_learned_rates(&learned, floors, now_ms, &rates);
    }
    PyObject *up = PyTuple_New(floors), *down = PyTuple_New(floors);
    for (int f = 0; up != NULL && down != NULL && f < floors; f++) {
        PyTuple_SET_ITEM(up, f, PyLong_FromLong(rates.up[f]));
        PyTuple_SET_ITEM(down, f, PyLong_FromLong(rates.down[f]));
    }
    return Py_BuildValue("(NN)", up, down);
}

PyDoc_STRVAR(simulate_doc,
             "simulate($module, trips, waits, journeys, cars, floors, assigner, park, park_after_ms, capacity, loss, "
             "seed, /)\n--\n\nLet passengers come and go in virtual time; see bench.h. The first three are buffers of "
             "64-bit integers.");

static PyObject *simulate(PyObject *module, PyObject *args)
{
    (void)module;
    struct bench_config config;
    struct bench_counts counts;
    Py_buffer trips, waits, journeys;
    unsigned long long seed;
    if (!PyArg_ParseTuple(args, "y*w*w*iiiiiiiK:simulate", &trips, &waits, &journeys, &config.cars, &config.floors,
                          &config.assigner, &config.park, &config.park_after_ms, &config.capacity, &config.loss, &seed))
        return NULL;
    config.seed = seed;
    const struct bench_trip *rows = trips.buf;
    Py_ssize_t count = trips.len / (Py_ssize_t)sizeof *rows;
    bool good = config.cars >= 1 && config.cars <= ASSIGN_MAX_CARS && config.floors >= 2 &&
                config.floors <= ASSIGN_MAX_FLOORS && config.capacity >= 0 && config.loss < 100 &&
                config.park_after_ms >= 0 && count > 0 && count < INT_MAX &&
                waits.len >= count * (Py_ssize_t)sizeof(int64_t) && journeys.len >= count * (Py_ssize_t)sizeof(int64_t);
    for (Py_ssize_t i = 0; good && i < count; i++)
        good = rows[i].at_ms >= (i == 0 ? 0 : rows[i - 1].at_ms) && rows[i].from != rows[i].to && rows[i].from >= 0 &&
               rows[i].from < config.floors && rows[i].to >= 0 && rows[i].to < config.floors;
    bool done = false;
    if (!good)
        PyErr_SetString(PyExc_ValueError, "these trips or this group cannot be simulated");
    else if (!(done = bench_run(&config, rows, (int)count, waits.buf, journeys.buf, &counts)))
        PyErr_SetString(PyExc_RuntimeError, "the passengers never arrive, or there is no memory");
    PyBuffer_Release(&trips);
    PyBuffer_Release(&waits);
    PyBuffer_Release(&journeys);
    if (!done)
        return NULL;
    return Py_BuildValue("(LLLLLLLLL)", (long long)counts.floors_moved, (long long)counts.reassigned,
                         (long long)counts.turns, (long long)counts.decisions, (long long)counts.decision_ns,
                         (long long)counts.decision_ns_most, (long long)counts.samples, (long long)counts.unclaimed,
                         (long long)counts.claimed_twice);
}

static PyMethodDef functions[] = {
    {"learn", learn, METH_VARARGS, learn_doc},
    {"simulate", simulate, METH_VARARGS, simulate_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "elevator._bench",
    .m_doc = "A simulated group of cars with passengers for `elevator bench dispatch`, in C.",
    .m_size = 0,
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__bench(void);

PyMODINIT_FUNC PyInit__bench(void)
{
    return PyModuleDef_Init(&definition);
}
