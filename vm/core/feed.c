/* Feeds: the queue between what happens and who asks for it. */
#include "feed_int.h"

#include <stdlib.h>
#include <string.h>

struct feed_item {
  feed_item *next;
  size_t length;
  char *bytes;
};

static void *must_alloc(size_t size) {
  void *p = calloc(1, size > 0 ? size : 1);

  if (p == NULL)
    abort();
  return p;
}

void *tsh_feed__new(tsh_loop *loop, size_t size) {
  tsh_feed *feed = must_alloc(size);

  feed->loop = loop;
  feed->items_end = &feed->items;
  return feed;
}

static char *shift(tsh_feed *feed, size_t *length) {
  feed_item *item = feed->items;
  char *bytes = item->bytes;

  *length = item->length;
  feed->items = item->next;
  if (feed->items == NULL)
    feed->items_end = &feed->items;
  feed->count--;
  free(item);
  return bytes;
}

void tsh_feed__free(tsh_feed *feed) {
  size_t length;

  while (feed->items != NULL)
    free(shift(feed, &length));
  free(feed);
}

/* Tells who waits, with an item or with the end. */
static void serve(tsh_feed *feed, int status) {
  tsh_feed_op *waiter = feed->waiter;

  feed->waiter = NULL;
  if (status == 0 && feed->items != NULL)
    waiter->item = shift(feed, &waiter->length);
  waiter->feed = NULL;
  waiter->op.status = status;
  waiter->op.done(&waiter->op);
}

void tsh_feed__push(tsh_feed *feed, const char *bytes, size_t length) {
  feed_item *item = must_alloc(sizeof *item);

  item->bytes = must_alloc(length + 1);
  memcpy(item->bytes, bytes, length);
  item->length = length;
  *feed->items_end = item;
  feed->items_end = &item->next;
  feed->count++;
  if (feed->waiter != NULL)
    serve(feed, 0);
}

void tsh_feed__push_news(tsh_feed *feed, const char *text) {
  for (const feed_item *item = feed->items; item != NULL; item = item->next)
    if (strcmp(item->bytes, text) == 0)
      return;
  tsh_feed__push(feed, text, strlen(text));
}

void tsh_feed__end(tsh_feed *feed) {
  feed->is_ended = true;
  if (feed->waiter != NULL)
    serve(feed, 0);
}

int tsh_feed_take(tsh_feed *feed, char **item, size_t *length) {
  if (feed->items == NULL)
    return feed->is_ended ? -1 : 0;
  *item = shift(feed, length);
  if (feed->resume != NULL)
    feed->resume(feed);
  return 1;
}

static void cancel_next(tsh_op *op) {
  tsh_feed *feed = ((tsh_feed_op *)op)->feed;

  if (feed == NULL)
    return;
  tsh_err_set(&op->err, TSH_CANCELED, "sys", 0, "canceled");
  serve(feed, TSH_CANCELED);
}

static void free_next(tsh_op *op) {
  free(((tsh_feed_op *)op)->item);
  free(op);
}

int tsh_feed_next(tsh_feed_op **out, tsh_feed *feed, tsh_err *err) {
  tsh_feed_op *next;

  if (feed->waiter != NULL)
    return tsh_err_set(err, TSH_CONFLICT, "sys", 0,
                       "somebody waits for this already");
  next = must_alloc(sizeof *next);
  next->op.cancel = cancel_next;
  next->op.free = free_next;
  next->feed = feed;
  feed->waiter = next;
  if (feed->resume != NULL)
    feed->resume(feed);
  *out = next;
  return 0;
}

void tsh_feed_close(tsh_feed *feed) {
  if (feed->is_closed)
    return;
  feed->is_closed = true;
  if (feed->waiter != NULL) {
    tsh_err_set(&feed->waiter->op.err, TSH_CLOSED, "sys", 0, "closed");
    serve(feed, TSH_CLOSED);
  }
  feed->stop(feed);
}
