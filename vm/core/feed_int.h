/* Feeds from the inside: a queue of items, and the source that fills it. */
#ifndef TRANSHIP_CORE_FEED_INT_H
#define TRANSHIP_CORE_FEED_INT_H

#include <uv.h>

#include "tranship/buf.h"
#include "tranship/feed.h"

typedef struct feed_item feed_item;

struct tsh_feed {
  tsh_loop *loop;
  feed_item *items, **items_end;
  unsigned count;
  tsh_feed_op *waiter;
  bool is_ended, is_closed;
  /* The source: stops and closes its handles, the last of which calls
   * tsh_feed__free; resumes when items were taken. */
  void (*stop)(tsh_feed *feed);
  void (*resume)(tsh_feed *feed);
};

/* A new feed of `size` bytes, with a tsh_feed as its first member. */
void *tsh_feed__new(tsh_loop *loop, size_t size);
void tsh_feed__free(tsh_feed *feed);
void tsh_feed__push(tsh_feed *feed, const char *item, size_t length);
/* The same, unless the newest item that waits says the same. */
void tsh_feed__push_news(tsh_feed *feed, const char *item);
void tsh_feed__end(tsh_feed *feed);

#endif
