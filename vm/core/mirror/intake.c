/* From a Fetch reply to entries: which batches are committed data, what of
 * them the target has already, what must be rebuilt, where nothing is.
 *
 * The usual batch is dense, new and whole, and goes on as it lies in the
 * reply. Any other is opened, record by record. */
#include <assert.h>
#include <stdlib.h>

#include "mirror_int.h"

enum {
  OPEN_LIMIT = 256 << 20,  /* bytes that one batch may expand to */
  REBUILT_LIMIT = 1000000, /* bytes of records in a rebuilt batch */
  REBUILT_SLACK = 1024,    /* what framing may add, and one byte in ... */
  REBUILT_SHARE = 128,     /* ... so many where nothing can be compressed */
  RECORD_FRAME = 64        /* bytes around keys and values, at most */
};

static const tsh_stamp nobody = {-1, -1, -1, false};

/* --- queueing --- */

void tsh_mirror__enqueue(flow *flow, entry *added) {
  if (flow->head == NULL)
    flow->head = added;
  else
    flow->tail->next = added;
  flow->tail = flow->last = added;
  if (added->bytes != NULL && added->txn != NULL)
    tsh_mirror__txn_queued(added);
}

int tsh_mirror__no_memory(flow *flow) {
  tsh_err err;
  tsh_err_set(&err, TSH_NO_MEMORY, "mirror", 0, "no memory for a batch of %s",
              flow->spec.id);
  tsh_mirror__end(flow, TSH_MIRROR_FAILED, true, &err);
  return TSH_NO_MEMORY;
}

/* Reading has come to `position`: what is pending takes note, or it counts as
 * done at once. A hole stays what its owner is told of. */
static void advance(flow *flow, int64_t position) {
  entry *last = flow->last;
  flow->position = position;
  if (last == NULL) {
    flow->acked_source = position;
    flow->acked_epoch = flow->epoch_read;
    tsh_mirror__touch(flow);
  } else if (last->bytes != NULL || last->txn != NULL) {
    last->source_next = position;
    last->epoch = flow->epoch_read;
  }
}

static int enqueue_hole(flow *flow, int64_t to) {
  entry *hole = tsh_mirror__entry_new(flow, NULL, NULL, 0);
  if (hole == NULL)
    return tsh_mirror__no_memory(flow);
  hole->target = flow->next_target;
  hole->source_next = to;
  hole->epoch = flow->epoch_read;
  flow->next_target = to;
  tsh_mirror__enqueue(flow, hole);
  return 0;
}

/* Where same: offsets before `to` that hold no record. */
int tsh_mirror__reach(flow *flow, int64_t to) {
  if (!flow->spec.same || flow->next_target >= to)
    return 0;
  return enqueue_hole(flow, to);
}

/* --- what the target has already --- */

static bool walking(const flow *flow) {
  return flow->spec.same ? flow->position < flow->next_target
                         : flow->next_target < flow->spec.log_end;
}

/* How many of the run's first records lie on the target, counted as done. */
static int64_t walk(flow *flow, int64_t source, int64_t count) {
  if (!walking(flow))
    return 0;
  int64_t there = flow->spec.same ? flow->next_target - source
                                  : flow->spec.log_end - flow->next_target;
  if (there > count)
    there = count;
  if (there <= 0)
    return 0;
  int64_t target = flow->spec.same ? source : flow->next_target;
  tsh_err err;
  if (tsh_mirror__add_segment(flow, source, target, there, &err) != 0) {
    tsh_mirror__end(flow, TSH_MIRROR_FAILED, false, &err);
    return there;
  }
  if (!flow->spec.same)
    flow->next_target += there;
  if (!flow->reading_txn) /* those have sequences of their own */
    flow->sequence = tsh_mirror__sequence_after(flow->sequence, there);
  flow->acked_sequence = flow->sequence;
  flow->acked_target = target + there;
  flow->acked_source = source + there;
  flow->acked_epoch = flow->epoch_read;
  tsh_mirror__touch(flow);
  return there;
}

/* --- batches as they are --- */

static int forward(flow *flow, chunk *chunk, const tsh_batch *batch) {
  int status = tsh_mirror__reach(flow, batch->base_offset);
  if (status != 0)
    return status;
  entry *added =
      tsh_mirror__entry_new(flow, chunk, (uint8_t *)batch->bytes, batch->size);
  if (added == NULL)
    return tsh_mirror__no_memory(flow);
  added->target = flow->next_target;
  added->count = batch->count;
  added->first = (run){batch->base_offset, batch->count};
  added->txn = flow->reading_as;
  flow->next_target += batch->count;
  tsh_mirror__enqueue(flow, added);
  return 0;
}

/* --- batches rebuilt --- */

/* Bytes of records that a batch can hold, however they compress: also a broker
 * that compresses anew counts them. */
static size_t records_limit(const flow *flow) {
  size_t most = flow->spec.max_batch_bytes;
  size_t slack = REBUILT_SLACK + most / REBUILT_SHARE;
  if (most == 0)
    return REBUILT_LIMIT;
  return most > slack ? most - slack : 1;
}

static size_t size_of(const tsh_record *record) {
  return RECORD_FRAME + record->key_size + record->value_size +
         record->headers_size;
}

/* The runs of the batch that is being built. */
typedef struct rebuild {
  flow *flow;
  tsh_codec codec;
  size_t limit;
  run *runs;
  size_t count;
  size_t capacity;
} rebuild;

static int note_run(rebuild *build, int64_t source) {
  run *last = build->count > 0 ? &build->runs[build->count - 1] : NULL;
  if (last != NULL && last->source + last->count == source) {
    last->count++;
    return 0;
  }
  if (build->count == build->capacity) {
    size_t capacity = build->capacity == 0 ? 8 : 2 * build->capacity;
    run *grown = realloc(build->runs, capacity * sizeof *grown);
    if (grown == NULL)
      return tsh_mirror__no_memory(build->flow);
    build->runs = grown;
    build->capacity = capacity;
  }
  build->runs[build->count++] = (run){source, 1};
  return 0;
}

static int corrupt(flow *flow, const tsh_err *err) {
  tsh_mirror_reason reason =
      err->kind == TSH_PROTOCOL ? TSH_MIRROR_CORRUPT : TSH_MIRROR_FAILED;
  tsh_mirror__end(flow, reason, true, err);
  return err->kind;
}

static int flush(rebuild *build) {
  flow *flow = build->flow;
  tsh_builder *builder = &flow->mirror->builder;
  if (builder->count == 0)
    return 0;
  uint8_t *bytes;
  size_t size;
  tsh_err err;
  int32_t count = builder->count;
  if (tsh_builder_finish(builder, build->codec, &nobody, &bytes, &size, &err) !=
      0)
    return corrupt(flow, &err);
  entry *added = tsh_mirror__entry_new(flow, NULL, bytes, size);
  if (added == NULL)
    return tsh_mirror__no_memory(flow);
  run last = build->runs[build->count - 1];
  added->target = flow->next_target;
  added->count = count;
  added->first = build->runs[0];
  added->txn = flow->reading_as;
  added->source_next = last.source + last.count;
  added->epoch = flow->epoch_read;
  if (build->count > 1) {
    added->runs = build->runs;
    added->run_count = build->count;
    build->runs = NULL;
    build->capacity = 0;
  }
  build->count = 0;
  flow->next_target += count;
  tsh_mirror__enqueue(flow, added);
  return 0;
}

static int rebuild_record(rebuild *build, const tsh_record *record) {
  flow *flow = build->flow;
  tsh_builder *builder = &flow->mirror->builder;
  if (record->offset < flow->position)
    return 0;
  if (walk(flow, record->offset, 1) > 0)
    return flow->stop != NULL ? TSH_NO_MEMORY : 0;
  bool gap =
      flow->spec.same && flow->next_target + builder->count != record->offset;
  int status = 0;
  if (gap || builder->size + size_of(record) > build->limit)
    status = flush(build);
  if (status == 0 && builder->count == 0)
    status = tsh_mirror__reach(flow, record->offset);
  if (status == 0)
    status = note_run(build, record->offset);
  tsh_err err;
  if (status == 0 && tsh_builder_add(builder, record, &err) != 0)
    status = corrupt(flow, &err);
  return status;
}

/* Records of the batch from our position on and below `until`, in batches of
 * our own. */
static int rebuild_batch(flow *flow, const tsh_batch *batch, tsh_codec codec,
                         int64_t until) {
  tsh_records *records = &flow->mirror->records;
  tsh_record record;
  tsh_err err;
  rebuild build = {.flow = flow, .codec = codec, .limit = records_limit(flow)};
  int status = tsh_batch_check(batch, &err);
  if (status == 0)
    status = tsh_records_open(records, batch, OPEN_LIMIT, &err);
  if (status != 0)
    return corrupt(flow, &err);
  while ((status = tsh_records_next(records, &record, &err)) == 1 &&
         record.offset < until)
    if ((status = rebuild_record(&build, &record)) != 0)
      goto out;
  status = status < 0 ? corrupt(flow, &err) : flush(&build);
out:
  flow->mirror->builder.count = 0;
  flow->mirror->builder.size = 0;
  free(build.runs);
  return status;
}

/* --- batch by batch --- */

static int take_data(flow *flow, chunk *chunk, const tsh_batch *batch) {
  int64_t next = tsh_batch_next_offset(batch);
  int64_t until =
      flow->spec.until_offset >= 0 ? flow->spec.until_offset : INT64_MAX;
  bool whole = chunk != NULL && batch->base_offset >= flow->position &&
               next <= until && tsh_batch_is_forwardable(batch);
  bool fits = flow->spec.max_batch_bytes == 0 ||
              batch->size <= flow->spec.max_batch_bytes;
  if (whole) {
    int64_t there = walk(flow, batch->base_offset, batch->count);
    if (flow->stop != NULL || there == batch->count)
      return 0;
    if (there == 0 && fits)
      return forward(flow, chunk, batch);
    flow->position = batch->base_offset + there;
  }
  return rebuild_batch(flow, batch,
                       chunk != NULL ? tsh_batch_codec(batch)
                                     : flow->mirror->legacy.codec,
                       until);
}

/* 0 = go on with the next batch. Without a chunk it was made of older
 * messages. */
static int take_batch(flow *flow, chunk *chunk, const tsh_batch *batch) {
  tsh_err err;
  int64_t next = tsh_batch_next_offset(batch);
  int64_t until = flow->spec.until_offset;
  int skips = 0;
  if (!flow->spec.transactions)
    skips = tsh_aborted_skips(&flow->mirror->aborted, batch, &err);
  if (skips < 0)
    return corrupt(flow, &err);
  if (next <= flow->position)
    return 0;
  if (until >= 0 && batch->base_offset >= until) {
    advance(flow, until);
    return 1;
  }
  if (flow->spec.same && !flow->spec.transactions &&
      tsh_batch_is(batch, TSH_BATCH_CONTROL | TSH_BATCH_TRANSACTIONAL) &&
      next > flow->next_target) {
    tsh_mirror__end(flow, TSH_MIRROR_TRANSACTIONAL, true, NULL);
    return 1;
  }
  if (flow->spec.transactions)
    skips = tsh_mirror__txn_take(flow, batch);
  if (skips < 0)
    return 1;
  flow->epoch_read = batch->leader_epoch;
  if (!skips && batch->count > 0) {
    int status = take_data(flow, chunk, batch);
    if (status != 0 || flow->stop != NULL)
      return 1;
  } else if (!skips && tsh_batch_check(batch, &err) != 0) {
    return corrupt(flow, &err);
  }
  advance(flow, until >= 0 && next > until ? until : next);
  return 0;
}

static void take_batches(flow *flow, chunk *chunk, tsh_fetched *fetched) {
  const uint8_t *at = fetched->records;
  size_t left = fetched->records_size, used;
  tsh_legacy *legacy = &flow->mirror->legacy;
  tsh_batch batch;
  tsh_err err;
  int status;
  for (;;) {
    bool old = tsh_legacy_is(at, left);
    if (old)
      status =
          tsh_legacy_read(legacy, at, left, OPEN_LIMIT, &batch, &used, &err);
    else if ((status = tsh_batch_read(&batch, at, left, &err)) == 1)
      used = batch.size;
    if (status != 1)
      break;
    if (take_batch(flow, old ? NULL : chunk, &batch) != 0)
      return;
    at += used;
    left -= used;
  }
  if (status < 0)
    corrupt(flow, &err);
}

static int load_aborted(flow *flow, tsh_fetched *fetched) {
  tsh_aborted *aborted = &flow->mirror->aborted;
  int64_t producer_id, first_offset;
  tsh_err err;
  tsh_aborted_clear(aborted);
  while (tsh_fetched_aborted(fetched, &producer_id, &first_offset))
    if (tsh_aborted_add(aborted, producer_id, first_offset, &err) != 0)
      return tsh_mirror__no_memory(flow);
  return 0;
}

/* The leader has more, and does not give it. */
static void kept_back(flow *flow) {
  tsh_err err;
  tsh_err_set(&err, TSH_UNAVAILABLE, "mirror", 0,
              "%s/%d goes on to offset %lld, but nothing came from %lld on (of "
              "a tiered topic: its remote storage is slow)",
              flow->spec.source.topic, (int)flow->spec.source.partition,
              (long long)flow->source_end, (long long)flow->position);
  err.retriable = true;
  tsh_mirror__end(flow, TSH_MIRROR_LEADER, true, &err);
}

/* Nothing came although there should be something. The first partition of a
 * fetch gets at least a batch if there is one at hand, so in a compacted log
 * there is none: the cleaner took all that was there. In any other there is,
 * but a broker that waits for remote storage says so in no other way. A later
 * partition may just have found the reply full. */
static void nothing_there(flow *flow, const tsh_fetched *fetched) {
  if (fetched->records_size == 0 && flow->spec.compacted) {
    int64_t until = flow->spec.until_offset;
    int64_t end = flow->source_end;
    advance(flow, until >= 0 && until < end ? until : end);
    return;
  }
  if (fetched->records_size == 0) {
    kept_back(flow);
    return;
  }
  tsh_err err;
  tsh_err_set(&err, TSH_PROTOCOL, "mirror", 0,
              "no whole batch in %zu bytes from offset %lld",
              fetched->records_size, (long long)flow->position);
  tsh_mirror__end(flow, TSH_MIRROR_CORRUPT, true, &err);
}

/* At the end of what can be read now. */
static void arrive(flow *flow) {
  bool reached =
      flow->spec.until_offset >= 0 && flow->position >= flow->spec.until_offset;
  if (!flow->caught_up && !reached)
    return;
  if (walking(flow) && !reached) {
    tsh_mirror_event *stop =
        tsh_mirror__end(flow, TSH_MIRROR_FOREIGN, false, NULL);
    stop->expected = flow->spec.same ? flow->position : flow->next_target;
    stop->got = flow->spec.log_end;
    return;
  }
  if (tsh_mirror__reach(flow, flow->position) == 0 && reached)
    tsh_mirror__end(flow, TSH_MIRROR_REACHED, true, NULL);
}

void tsh_mirror__intake(flow *flow, chunk *chunk, tsh_fetched *fetched,
                        bool first) {
  int64_t before = flow->position;
  int64_t end =
      flow->spec.transactions ? fetched->high_watermark : fetched->last_stable;
  if (flow->source_end != end) {
    flow->source_end = end;
    tsh_mirror__touch(flow);
  }
  if (load_aborted(flow, fetched) != 0)
    return;
  take_batches(flow, chunk, fetched);
  if (flow->stop != NULL)
    return;
  if (flow->position == before && end > before && first)
    nothing_there(flow, fetched);
  flow->caught_up = flow->position >= end;
  if (flow->stop == NULL)
    arrive(flow);
}
