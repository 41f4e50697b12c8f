/*
 * plan.h - what load is asked to do: its command line.
 *
 * A class of connections is one --class NAME,CONNECTIONS,RATE,ARRIVAL,HOME,PATH:
 *
 *   RATE     requests/s of the class, or `max`: a closed loop
 *   ARRIVAL  poisson or fixed
 *   HOME     a loop's number: only connections that this loop accepted; spread: as many from each
 *
 * Threads:    one.
 */
#ifndef WHORL_BENCH_PLAN_H
#define WHORL_BENCH_PLAN_H

#include "json.h"
#include "support/traffic.h"

#include <stdbool.h>
#include <sys/types.h>

#define PLAN_CLASSES_MAX 4
#define PLAN_LOOPS_MAX   1024
#define PLAN_HOME_SPREAD (-1)

struct plan_class {
    struct traffic_class class;
    int connections; /* wanted; class.connections counts those there are */
    int home;        /* a loop, or PLAN_HOME_SPREAD */
};

struct plan {
    struct json_place place;
    const char *json_path;
    struct plan_class classes[PLAN_CLASSES_MAX];
    int class_count;
    int port;
    double warm_up; /* s */
    double seconds;
    uint64_t requests; /* 0: by time */
    uint64_t seed;
    pid_t pid; /* 0: CPU time not asked for */
    int cpu;   /* -1: anywhere */
    bool realtime;
    size_t echo_bytes;
};

/* Ends the program for --help and for what it does not understand. */
struct plan plan_parse(int argc, char **argv);

/* Gives back the requests of the classes. */
void plan_free(struct plan *plan);

/* Connections of all classes together. */
int plan_connections(const struct plan *plan);

#endif
