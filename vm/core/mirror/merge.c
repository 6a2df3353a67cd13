/* Small uncompressed batches that wait behind each other leave as one: a
 * target pays by the batch. What is alone, or behind a gap, goes as it is. */
#include "mirror_int.h"

enum {
  MERGED_BYTES = 500000, /* of a merged batch, at most */
  SMALL_BYTES = 200000,  /* larger ones gain nothing by the copy */
  MOST_MERGED = 256
};

static size_t limit_of(const flow *flow) {
  size_t most = flow->spec.max_batch_bytes;
  return most < MERGED_BYTES ? most : MERGED_BYTES;
}

static bool read_small(const entry *entry, tsh_batch *out) {
  return entry->chunk != NULL && entry->txn == NULL &&
         entry->size <= SMALL_BYTES &&
         tsh_batch_read(out, entry->bytes, entry->size, NULL) == 1;
}

/* The headers of entries from the queue's head on that lie together. */
static size_t neighbours(const flow *flow, tsh_batch *list) {
  size_t count = 0, bytes = 0, limit = limit_of(flow);
  for (const entry *at = flow->head; at != NULL && count < MOST_MERGED;
       at = at->next) {
    if (bytes + at->size > limit || !read_small(at, &list[count]) ||
        (count > 0 && !tsh_batch_merges(&list[count - 1], &list[count])))
      break;
    bytes += at->size;
    count++;
  }
  return count;
}

/* The entry behind the queue's head becomes part of it. */
static void absorb(flow *flow, entry *head) {
  entry *next = head->next;
  bool newest = flow->last == next;
  head->count += next->count;
  head->first.count += next->count;
  head->source_next = next->source_next;
  head->epoch = next->epoch;
  head->next = next->next;
  if (flow->tail == next)
    flow->tail = head;
  tsh_mirror__entry_free(flow, next);
  if (newest)
    flow->last = head;
}

void tsh_mirror__merge(flow *flow) {
  tsh_batch list[MOST_MERGED];
  uint8_t *bytes;
  size_t size, count = neighbours(flow, list);
  if (count < 2)
    return;
  size_t merged = tsh_batch_merge(list, count, limit_of(flow), &bytes, &size);
  if (merged < 2)
    return;
  tsh_mirror__entry_own(flow, flow->head, bytes, size);
  while (--merged > 0)
    absorb(flow, flow->head);
}
