/* elevator._assign: the assigners of assign.h and plan.h as Python functions.
 *
 * - Every invalid value raises a ValueError with a message of one line. A TypeError is raised only if a call does not
 *   match the signature.
 * - Integers are read from int objects only (bool and IntEnum are ints, too), never through __index__. So no Python
 *   code runs while the cars are read, and nothing can change them.
 * - The algorithms check the values. This file refuses only what C integers cannot hold, with the same messages.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <limits.h>

#include "assign.h"
#include "assign_large.h"
#include "motion.h"
#include "plan.h"

/* The input of all assigners. */
struct input {
    struct assign_params params;
    uint64_t up, down;
    struct assign_car cars[ASSIGN_MAX_CARS];
    int n;
};

/* Raise ValueError. Return false, so that a failed check is one return. */
static bool refuse(const char *message)
{
    PyErr_SetString(PyExc_ValueError, message);
    return false;
}

static bool read_int(PyObject *object, int *value, int status)
{
    int overflow;
    if (!PyLong_Check(object))
        return refuse(assign_message(status));
    long wide = PyLong_AsLongAndOverflow(object, &overflow);
    if (overflow != 0 || wide < INT_MIN || wide > INT_MAX)
        return refuse(assign_message(status));
    *value = (int)wide;
    return true;
}

static bool read_mask(PyObject *object, uint64_t *mask, int status)
{
    if (!PyLong_Check(object))
        return refuse(assign_message(status));
    *mask = PyLong_AsUnsignedLongLong(object);
    if (!PyErr_Occurred())
        return true;
    PyErr_Clear(); /* OverflowError: negative, or more than 64 bits */
    return refuse(assign_message(status));
}

/* Read a car except for its cab calls, the last of the four. */
static bool read_car_state(PyObject *object, int *behaviour, int *floor, int *direction)
{
    if (!PyTuple_Check(object) || PyTuple_GET_SIZE(object) != 4)
        return refuse("a car must be a tuple (behaviour, floor, direction, cab)");
    return read_int(PyTuple_GET_ITEM(object, 0), behaviour, ASSIGN_BEHAVIOUR) &&
           read_int(PyTuple_GET_ITEM(object, 1), floor, ASSIGN_FLOOR) &&
           read_int(PyTuple_GET_ITEM(object, 2), direction, ASSIGN_DIRECTION);
}

static bool read_car(PyObject *object, struct assign_car *car)
{
    return read_car_state(object, &car->behaviour, &car->floor, &car->direction) &&
           read_mask(PyTuple_GET_ITEM(object, 3), &car->cab, ASSIGN_CAB);
}

static bool read_cars(PyObject *object, struct input *input)
{
    if (!PyList_Check(object) && !PyTuple_Check(object))
        return refuse("cars must be a list or a tuple");
    Py_ssize_t n = PySequence_Fast_GET_SIZE(object);
    if (n < 1 || n > ASSIGN_MAX_CARS)
        return refuse(assign_message(ASSIGN_CARS));
    input->n = (int)n;
    for (int k = 0; k < input->n; k++)
        if (!read_car(PySequence_Fast_GET_ITEM(object, k), &input->cars[k]))
            return false;
    return true;
}

static PyObject *build_share(const struct assign_share *share)
{
    PyObject *pair = PyTuple_New(2);
    PyObject *up = PyLong_FromUnsignedLongLong(share->up);
    PyObject *down = PyLong_FromUnsignedLongLong(share->down);
    if (pair == NULL || up == NULL || down == NULL) {
        Py_XDECREF(pair);
        Py_XDECREF(up);
        Py_XDECREF(down);
        return NULL;
    }
    PyTuple_SET_ITEM(pair, 0, up);
    PyTuple_SET_ITEM(pair, 1, down);
    return pair;
}

static PyObject *build_shares(const struct assign_share *shares, int n)
{
    PyObject *rows = PyTuple_New(n);
    for (int k = 0; rows != NULL && k < n; k++) {
        PyObject *row = build_share(&shares[k]);
        if (row == NULL)
            Py_CLEAR(rows);
        else
            PyTuple_SET_ITEM(rows, k, row);
    }
    return rows;
}

/* Read a set of floors of a large building. */
static bool read_floors(PyObject *object, struct assign_floors *calls, int status)
{
    if (!PyLong_Check(object))
        return refuse(assign_message(status));
    /* The method of int itself: no Python code of a subclass runs. */
    PyObject *bytes = PyObject_CallMethod((PyObject *)&PyLong_Type, "to_bytes", "Ois", object, (int)sizeof *calls,
                                          "little");
    if (bytes == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError))
            return false;
        PyErr_Clear(); /* negative, or too many bits */
        return refuse(assign_message(status));
    }
    const unsigned char *text = (const unsigned char *)PyBytes_AS_STRING(bytes);
    memset(calls, 0, sizeof *calls);
    for (size_t i = 0; i < sizeof *calls; i++)
        calls->words[i / 8] |= (uint64_t)text[i] << i % 8 * 8;
    Py_DECREF(bytes);
    return true;
}

static bool read_large_car(PyObject *object, struct assign_large_car *car)
{
    return read_car_state(object, &car->behaviour, &car->floor, &car->direction) &&
           read_floors(PyTuple_GET_ITEM(object, 3), &car->cab, ASSIGN_CAB);
}

static PyObject *build_floors(const struct assign_floors *calls)
{
    char text[sizeof *calls];
    for (size_t i = 0; i < sizeof *calls; i++)
        text[i] = (char)(calls->words[i / 8] >> i % 8 * 8 & 255);
    return PyObject_CallMethod((PyObject *)&PyLong_Type, "from_bytes", "y#s", text, (Py_ssize_t)sizeof text, "little");
}

static PyObject *build_large_shares(const struct assign_large_share *shares, int n)
{
    PyObject *rows = PyTuple_New(n);
    for (int k = 0; rows != NULL && k < n; k++) {
        PyObject *up = build_floors(&shares[k].up), *down = build_floors(&shares[k].down);
        PyObject *row = up == NULL || down == NULL ? NULL : PyTuple_Pack(2, up, down);
        Py_XDECREF(up);
        Py_XDECREF(down);
        if (row == NULL)
            Py_CLEAR(rows);
        else
            PyTuple_SET_ITEM(rows, k, row);
    }
    return rows;
}

/* The input and the answer of the reference for a large building. */
struct large_input {
    struct assign_floors up, down;
    struct assign_large_car cars[ASSIGN_LARGE_MAX_CARS];
    struct assign_large_share shares[ASSIGN_LARGE_MAX_CARS];
};

static PyObject *answer_large(const struct assign_params *params, PyObject *up, PyObject *down, PyObject *cars, int n,
                              struct large_input *input)
{
    if (!read_floors(up, &input->up, ASSIGN_HALL) || !read_floors(down, &input->down, ASSIGN_HALL))
        return NULL;
    for (int k = 0; k < n; k++)
        if (!read_large_car(PySequence_Fast_GET_ITEM(cars, k), &input->cars[k]))
            return NULL;
    int status = assign_large(params, &input->up, &input->down, input->cars, n, input->shares);
    if (status == ASSIGN_MEMORY)
        return PyErr_NoMemory();
    if (status != ASSIGN_OK) {
        refuse(assign_message(status));
        return NULL;
    }
    return build_large_shares(input->shares, n);
}

static PyObject *reference_large(const struct assign_params *params, PyObject *up, PyObject *down, PyObject *cars)
{
    Py_ssize_t n = PySequence_Fast_GET_SIZE(cars);
    if (params->floors < 1 || params->floors > ASSIGN_LARGE_MAX_FLOORS || n < 1 || n > ASSIGN_LARGE_MAX_CARS) {
        bool good = n >= 1 && n <= ASSIGN_LARGE_MAX_CARS;
        refuse(assign_message(good ? ASSIGN_LARGE_FLOORS : ASSIGN_LARGE_CARS));
        return NULL;
    }
    struct large_input *input = PyMem_Malloc(sizeof *input);
    if (input == NULL)
        return PyErr_NoMemory();
    PyObject *answer = answer_large(params, up, down, cars, (int)n, input);
    PyMem_Free(input);
    return answer;
}

static PyObject *reference_small(struct input *input, PyObject *up, PyObject *down, PyObject *cars)
{
    if (!read_mask(up, &input->up, ASSIGN_HALL) || !read_mask(down, &input->down, ASSIGN_HALL) ||
        !read_cars(cars, input))
        return NULL;
    struct assign_share shares[ASSIGN_MAX_CARS];
    int status = assign_reference(&input->params, input->up, input->down, input->cars, input->n, shares);
    if (status != ASSIGN_OK) {
        refuse(assign_message(status));
        return NULL;
    }
    return build_shares(shares, input->n);
}

/* The durations in a signature. */
#define DURATIONS "door_ms=" ASSIGN_TEXT(ASSIGN_DOOR_MS) ", travel_ms=" ASSIGN_TEXT(ASSIGN_TRAVEL_MS)

PyDoc_STRVAR(reference_doc, "reference($module, /, floors, up, down, cars, " DURATIONS
                            ", clear_all=False, has_empty_id=False)\n--\n\n"
                            "Assign hall calls as the course's hall_request_assigner does: one (up, down) for each "
                            "car.");

static PyObject *reference(PyObject *module, PyObject *args, PyObject *keywords)
{
    (void)module;
    static char *names[] = {"floors",    "up",        "down",         "cars", "door_ms",
                            "travel_ms", "clear_all", "has_empty_id", NULL};
    PyObject *floors, *up, *down, *cars, *door_ms = NULL, *travel_ms = NULL;
    int clear_all = 0, has_empty_id = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OOOO|OOpp:reference", names, &floors, &up, &down, &cars,
                                     &door_ms, &travel_ms, &clear_all, &has_empty_id))
        return NULL;
    struct input input;
    struct assign_params *params = &input.params;
    *params = (struct assign_params){.door_ms = ASSIGN_DOOR_MS,
                                     .travel_ms = ASSIGN_TRAVEL_MS,
                                     .clear_all = clear_all != 0,
                                     .has_empty_id = has_empty_id != 0};
    if (!read_int(floors, &params->floors, ASSIGN_LARGE_FLOORS) ||
        (door_ms != NULL && !read_int(door_ms, &params->door_ms, ASSIGN_DURATION)) ||
        (travel_ms != NULL && !read_int(travel_ms, &params->travel_ms, ASSIGN_DURATION)))
        return NULL;
    if (!PyList_Check(cars) && !PyTuple_Check(cars)) {
        refuse("cars must be a list or a tuple");
        return NULL;
    }
    Py_ssize_t n = PySequence_Fast_GET_SIZE(cars);
    bool is_small = params->floors >= 1 && params->floors <= ASSIGN_MAX_FLOORS && n >= 1 && n <= ASSIGN_MAX_CARS;
    return is_small ? reference_small(&input, up, down, cars) : reference_large(params, up, down, cars);
}

/* The input of the plan-cost assigner and of parking. */
struct plan_input {
    struct input common;
    struct assign_share shares[ASSIGN_MAX_CARS];
    struct plan_rates rates;
};

static bool read_shares(PyObject *object, int n, struct assign_share *shares)
{
    if (!PyTuple_Check(object) || PyTuple_GET_SIZE(object) != n)
        return refuse("claims or shares must be a tuple with a (up, down) for each car");
    for (int k = 0; k < n; k++) {
        PyObject *pair = PyTuple_GET_ITEM(object, k);
        if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2)
            return refuse("claims or shares must be a tuple with a (up, down) for each car");
        if (!read_mask(PyTuple_GET_ITEM(pair, 0), &shares[k].up, ASSIGN_HALL) ||
            !read_mask(PyTuple_GET_ITEM(pair, 1), &shares[k].down, ASSIGN_HALL))
            return false;
    }
    return true;
}

/* Read the rates of all floors. An empty tuple means zeros. */
static bool read_rates(PyObject *object, int floors, int *rates)
{
    if (!PyTuple_Check(object))
        return refuse(assign_message(ASSIGN_RATE));
    Py_ssize_t count = PyTuple_GET_SIZE(object);
    memset(rates, 0, ASSIGN_MAX_FLOORS * sizeof *rates);
    if (count != 0 && (count != floors || count > ASSIGN_MAX_FLOORS))
        return refuse(assign_message(ASSIGN_RATE));
    for (int f = 0; f < (int)count; f++)
        if (!read_int(PyTuple_GET_ITEM(object, f), &rates[f], ASSIGN_RATE))
            return false;
    return true;
}

static bool read_plan_input(PyObject *cars, PyObject *shares, PyObject *up_rates, PyObject *down_rates,
                            PyObject *door_ms, PyObject *travel_ms, struct plan_input *input)
{
    struct assign_params *params = &input->common.params;
    *params = (struct assign_params){
        .floors = params->floors, .door_ms = ASSIGN_DOOR_MS, .travel_ms = ASSIGN_TRAVEL_MS};
    return read_cars(cars, &input->common) && read_shares(shares, input->common.n, input->shares) &&
           read_rates(up_rates, params->floors, input->rates.up) &&
           read_rates(down_rates, params->floors, input->rates.down) &&
           (door_ms == NULL || read_int(door_ms, &params->door_ms, ASSIGN_DOOR)) &&
           (travel_ms == NULL || read_int(travel_ms, &params->travel_ms, ASSIGN_TRAVEL));
}

/* Read the number of floors before the masks, which hold no more than ASSIGN_MAX_FLOORS. */
static bool read_plan_floors(PyObject *object, int *floors)
{
    if (!read_int(object, floors, ASSIGN_FLOORS))
        return false;
    return (*floors >= 1 && *floors <= ASSIGN_MAX_FLOORS) || refuse(assign_message(ASSIGN_FLOORS));
}

PyDoc_STRVAR(plan_doc, "plan($module, floors, up, down, cars, claims, up_rates, down_rates, " DURATIONS
                       ", /)\n--\n\nAssign hall calls so that passengers wait as little as possible.");

static PyObject *plan(PyObject *module, PyObject *args)
{
    (void)module;
    struct plan_input input;
    PyObject *floors, *up, *down, *cars, *claims, *up_rates, *down_rates, *door_ms = NULL, *travel_ms = NULL;
    if (!PyArg_ParseTuple(args, "OOOOOOO|OO:plan", &floors, &up, &down, &cars, &claims, &up_rates, &down_rates,
                          &door_ms, &travel_ms))
        return NULL;
    if (!read_plan_floors(floors, &input.common.params.floors) || !read_mask(up, &input.common.up, ASSIGN_HALL) ||
        !read_mask(down, &input.common.down, ASSIGN_HALL) ||
        !read_plan_input(cars, claims, up_rates, down_rates, door_ms, travel_ms, &input))
        return NULL;
    struct assign_share shares[ASSIGN_MAX_CARS];
    int status = plan_assign(&input.common.params, input.common.up, input.common.down, input.common.cars, input.shares,
                             input.common.n, &input.rates, shares, NULL);
    if (status != ASSIGN_OK) {
        refuse(assign_message(status));
        return NULL;
    }
    return build_shares(shares, input.common.n);
}

PyDoc_STRVAR(park_doc, "park($module, floors, cars, shares, up_rates, down_rates, " DURATIONS
                       ", /)\n--\n\nChoose where free cars wait: a floor for each car, -1 for one that is not free.");

static PyObject *park(PyObject *module, PyObject *args)
{
    (void)module;
    struct plan_input input;
    PyObject *floors, *cars, *shares, *up_rates, *down_rates, *door_ms = NULL, *travel_ms = NULL;
    if (!PyArg_ParseTuple(args, "OOOOO|OO:park", &floors, &cars, &shares, &up_rates, &down_rates, &door_ms, &travel_ms))
        return NULL;
    if (!read_plan_floors(floors, &input.common.params.floors) ||
        !read_plan_input(cars, shares, up_rates, down_rates, door_ms, travel_ms, &input))
        return NULL;
    int targets[ASSIGN_MAX_CARS];
    const int n = input.common.n;
    int status = plan_park(&input.common.params, input.common.cars, input.shares, n, &input.rates, targets, NULL);
    if (status != ASSIGN_OK) {
        refuse(assign_message(status));
        return NULL;
    }
    PyObject *row = PyTuple_New(n);
    for (int k = 0; row != NULL && k < n; k++) {
        PyObject *target = PyLong_FromLong(targets[k]);
        if (target == NULL)
            Py_CLEAR(row);
        else
            PyTuple_SET_ITEM(row, k, target);
    }
    return row;
}

PyDoc_STRVAR(decide_doc, "decide($module, floor, direction, up, down, cab, departing, /)\n--\n\n"
                         "Decide as elevator.core.motion.decide does, by the rules that the assigner simulates.");

static PyObject *decide(PyObject *module, PyObject *args)
{
    (void)module;
    int floor, direction, departing;
    unsigned long long up, down, cab;
    if (!PyArg_ParseTuple(args, "iiKKKp:decide", &floor, &direction, &up, &down, &cab, &departing))
        return NULL;
    if (floor < 0 || floor >= ASSIGN_MAX_FLOORS || (direction != UP && direction != DOWN)) {
        refuse("floor must be below " ASSIGN_TEXT(ASSIGN_MAX_FLOORS) " and direction -1 or 1");
        return NULL;
    }
    struct motion_work work = {up, down, cab};
    struct motion_move next = motion_decide(floor, direction, &work, departing != 0);
    return Py_BuildValue("(ii)", next.behaviour, next.direction);
}

static PyMethodDef functions[] = {
    {"reference", (PyCFunction)(void (*)(void))reference, METH_VARARGS | METH_KEYWORDS, reference_doc},
    {"plan", plan, METH_VARARGS, plan_doc},
    {"park", park, METH_VARARGS, park_doc},
    {"decide", decide, METH_VARARGS, decide_doc},
    {NULL, NULL, 0, NULL},
};

static int add_constants(PyObject *module)
{
    bool is_added = PyModule_AddIntConstant(module, "MAX_FLOORS", ASSIGN_MAX_FLOORS) == 0 &&
                    PyModule_AddIntConstant(module, "MAX_CARS", ASSIGN_MAX_CARS) == 0 &&
                    PyModule_AddIntConstant(module, "TRAVEL_MS", ASSIGN_TRAVEL_MS) == 0 &&
                    PyModule_AddIntConstant(module, "DOOR_MS", ASSIGN_DOOR_MS) == 0 &&
                    PyModule_AddIntConstant(module, "OBSTRUCTED", PLAN_OBSTRUCTED) == 0;
    return is_added ? 0 : -1;
}

/* __extension__: Python keeps the function as a void *, which ISO C does not allow and POSIX does. */
static PyModuleDef_Slot slots[] = {{Py_mod_exec, __extension__(void *)add_constants}, {0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "elevator._assign",
    .m_doc = "The assigners of hall calls, in C.",
    .m_size = 0,
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__assign(void);

PyMODINIT_FUNC PyInit__assign(void)
{
    return PyModuleDef_Init(&definition);
}
