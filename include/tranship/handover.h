/* Handing secrets to a process that works already, through a named pipe: they
 * are bytes of no file, no argument and no log.
 *
 * The process that takes them opens an inbox, and looks into it now and then.
 * Whoever may write to the pipe (its owner) hands over one message at a time;
 * a message is whole once its writer has closed the pipe. Neither side ever
 * waits. Calls are for one thread at a time. */
#ifndef TRANSHIP_HANDOVER_H
#define TRANSHIP_HANDOVER_H

#include <stddef.h>

#include "tranship/err.h"
#include "tranship/secret.h"

/* What the kernel keeps for a reader: nothing larger is handed over. */
#define TSH_HANDOVER_LARGEST 65536

typedef struct tsh_inbox tsh_inbox;

/* Makes the pipe at `path`, for its owner alone, in place of one that a process
 * has left there. Anything else there is TSH_EXISTS, and stays. */
int tsh_inbox_open(tsh_inbox **out, const char *path, tsh_err *err);

/* The message that has come since, or NULL in `out` when none is whole yet. */
int tsh_inbox_take(tsh_inbox *inbox, tsh_secret **out, tsh_err *err);

/* Takes the pipe away, with what lies in it; NULL is fine. */
void tsh_inbox_close(tsh_inbox *inbox);

/* Hands over one message. TSH_NOT_FOUND: nobody has an inbox there;
 * TSH_CONFLICT, retriable: the one before was not taken yet. */
int tsh_handover_give(const char *path, const void *bytes, size_t length,
                      tsh_err *err);

#endif
