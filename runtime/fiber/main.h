/*
 * main.h - the first C function on a new stack, shared by fiber.c and the switches.
 *
 * Owns:       nothing.
 * Threads:    the one that resumes the fiber for the first time.
 */
#ifndef WHORL_FIBER_MAIN_H
#define WHORL_FIBER_MAIN_H

struct whorl__fiber;

_Noreturn void whorl__fiber_main(struct whorl__fiber *self);

#endif
