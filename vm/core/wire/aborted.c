/* read_committed by hand: a heap of aborted transactions by first offset, and
 * the producers that have one open at the place we read. */
#include "tranship/batch.h"

#include <stdlib.h>

#include "batch_int.h"

enum {
  FIRST_ENTRIES = 16,
  MARKER_KEY_SIZE = 4, /* version i16, type i16 */
  MARKER_ABORT = 0
};

struct tsh_abort {
  int64_t first_offset;
  int64_t producer_id;
};

void tsh_aborted_init(tsh_aborted *aborted) { *aborted = (tsh_aborted){0}; }

void tsh_aborted_fini(tsh_aborted *aborted) {
  free(aborted->heap);
  free(aborted->open);
  tsh_aborted_init(aborted);
}

void tsh_aborted_clear(tsh_aborted *aborted) {
  aborted->count = 0;
  aborted->open_count = 0;
}

static int grow(void **items, size_t *capacity, size_t count, size_t each,
                tsh_err *err) {
  if (count < *capacity)
    return 0;
  size_t grown = *capacity == 0 ? FIRST_ENTRIES : *capacity * 2;
  void *moved = realloc(*items, grown * each);
  if (moved == NULL)
    return tsh_err_set(err, TSH_NO_MEMORY, "batch", 0,
                       "no memory for %zu aborted transactions", grown);
  *items = moved;
  *capacity = grown;
  return 0;
}

int tsh_aborted_add(tsh_aborted *aborted, int64_t producer_id,
                    int64_t first_offset, tsh_err *err) {
  void *items = aborted->heap;
  int status = grow(&items, &aborted->capacity, aborted->count,
                    sizeof *aborted->heap, err);
  aborted->heap = items;
  if (status != 0)
    return status;
  struct tsh_abort *heap = aborted->heap;
  size_t at = aborted->count++;
  while (at > 0 && heap[(at - 1) / 2].first_offset > first_offset) {
    heap[at] = heap[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  heap[at] = (struct tsh_abort){first_offset, producer_id};
  return 0;
}

static struct tsh_abort pop(tsh_aborted *aborted) {
  struct tsh_abort *heap = aborted->heap, top = heap[0];
  struct tsh_abort last = heap[--aborted->count];
  size_t at = 0, child;
  while ((child = 2 * at + 1) < aborted->count) {
    if (child + 1 < aborted->count &&
        heap[child + 1].first_offset < heap[child].first_offset)
      child++;
    if (heap[child].first_offset >= last.first_offset)
      break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = last;
  return top;
}

/* Where the producer is in the open list, or its length. */
static size_t find(const tsh_aborted *aborted, int64_t producer_id) {
  size_t i = 0;
  while (i < aborted->open_count && aborted->open[i] != producer_id)
    i++;
  return i;
}

static int open_up_to(tsh_aborted *aborted, int64_t last_offset, tsh_err *err) {
  while (aborted->count > 0 && aborted->heap[0].first_offset <= last_offset) {
    struct tsh_abort top = pop(aborted);
    if (find(aborted, top.producer_id) < aborted->open_count)
      continue;
    void *items = aborted->open;
    int status = grow(&items, &aborted->open_capacity, aborted->open_count,
                      sizeof *aborted->open, err);
    aborted->open = items;
    if (status != 0)
      return status;
    aborted->open[aborted->open_count++] = top.producer_id;
  }
  return 0;
}

/* Control batches hold one uncompressed record; its key names the verdict. */
static bool is_abort_marker(const tsh_batch *batch) {
  tsh_records records;
  tsh_record record;
  tsh_records_init(&records);
  bool abort = batch->count > 0 && tsh_batch_codec(batch) == TSH_CODEC_NONE &&
               tsh_records_open(&records, batch, batch->size, NULL) == 0 &&
               tsh_records_next(&records, &record, NULL) == 1 &&
               record.key_size >= MARKER_KEY_SIZE &&
               get16(record.key + 2) == MARKER_ABORT;
  tsh_records_fini(&records);
  return abort;
}

int tsh_aborted_skips(tsh_aborted *aborted, const tsh_batch *batch,
                      tsh_err *err) {
  bool skips = tsh_batch_is(batch, TSH_BATCH_CONTROL);
  if (batch->producer_id >= 0) {
    int status = open_up_to(aborted, tsh_batch_next_offset(batch) - 1, err);
    if (status != 0)
      return status;
    size_t at = find(aborted, batch->producer_id);
    bool open = at < aborted->open_count;
    if (skips && open && is_abort_marker(batch))
      aborted->open[at] = aborted->open[--aborted->open_count];
    skips |= open && tsh_batch_is(batch, TSH_BATCH_TRANSACTIONAL);
  }
  int status = skips ? tsh_batch_check(batch, err) : 0;
  return status != 0 ? status : skips;
}
