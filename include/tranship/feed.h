/* Feeds: things that happen again and again, taken one by one.
 *
 * Signals, changes of a file, lines of a descriptor. What happens while nobody
 * asks is kept in order (signals and changes coalesce), within a bound: lines
 * are then left where they come from until some were taken. */
#ifndef TRANSHIP_FEED_H
#define TRANSHIP_FEED_H

#include <stdbool.h>
#include <stddef.h>

#include "tranship/err.h"
#include "tranship/loop.h"

typedef struct tsh_feed tsh_feed;

/* Items are signal names without SIG: "INT". While the feed is open these
 * signals do nothing else. `numbers` ends with 0. */
int tsh_feed_signals(tsh_feed **out, tsh_loop *loop, const int *numbers,
                     tsh_err *err);
/* Items are the name of what changed, or "". */
int tsh_feed_watch(tsh_feed **out, tsh_loop *loop, const char *path,
                   tsh_err *err);
/* Items are lines without their line feed. Owns `fd` from now on, also on
 * failure. */
int tsh_feed_lines(tsh_feed **out, tsh_loop *loop, int fd, tsh_err *err);

/* Who waits is told TSH_CLOSED. */
void tsh_feed_close(tsh_feed *feed);

typedef struct tsh_feed_op {
  tsh_op op;
  tsh_feed *feed;
  char *item; /* NULL: the feed has ended */
  size_t length;
} tsh_feed_op;

/* Starts waiting for the next item. One at a time: TSH_CONFLICT otherwise. */
int tsh_feed_next(tsh_feed_op **out, tsh_feed *feed, tsh_err *err);

/* What is there already, without waiting: 1 an item (its bytes are the
 * caller's to free), 0 nothing yet, -1 the feed has ended. */
int tsh_feed_take(tsh_feed *feed, char **item, size_t *length);

#endif
