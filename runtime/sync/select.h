/*
 * select.h - what select.c needs of those who have a line and nothing else.
 */
#ifndef WHORL_SYNC_SELECT_H
#define WHORL_SYNC_SELECT_H

#include "sync/line.h"

struct whorl_event;
struct whorl_semaphore;

/* Where to stand for it. What whorl__line_check says. */
WHORL_MUST_USE int whorl__event_place(struct whorl_event *event,
                                      struct whorl__line_place *ret_place);
WHORL_MUST_USE int whorl__semaphore_place(struct whorl_semaphore *semaphore,
                                          struct whorl__line_place *ret_place);

#endif
