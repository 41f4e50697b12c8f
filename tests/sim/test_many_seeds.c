/*
 * test_many_seeds.c - the programs of test_programs.c, with as many seeds as a long run has time
 * for.
 *
 * label: long, time limit: 3600 s
 */
#define SEEDS UINT64_C(2000)
#include "test_programs.c"
