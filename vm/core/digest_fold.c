/* Folding batches into digests: chunks in the order of the log, or the last
 * record of each key. */
#include "digest_fold.h"

#include <stdlib.h>
#include <string.h>

enum {
  LARGEST_BATCH = 1 << 30, /* bytes, opened */
  FIRST_CHUNKS = 64,
  FIRST_SLOTS = 1 << 12
};

static int no_memory(tsh_err *err) {
  return tsh_err_set(err, TSH_NO_MEMORY, "digest", 0, "no memory for a digest");
}

static int too_many(tsh_err *err) {
  return tsh_err_set(err, TSH_LIMIT, "digest", 0,
                     "a digest of more than %d parts", TSH_DIGEST_MOST);
}

int tsh_fold_init(tsh_fold *fold, const tsh_digest_spec *spec, tsh_err *err) {
  *fold = (tsh_fold){.mode = spec->mode,
                     .with_offsets = spec->with_offsets,
                     .from = spec->from,
                     .to = spec->to,
                     .chunk = spec->chunk};
  tsh_records_init(&fold->records);
  fold->state = XXH3_createState();
  if (!fold->state)
    return no_memory(err);
  XXH3_64bits_reset(fold->state);
  return 0;
}

void tsh_fold_fini(tsh_fold *fold) {
  tsh_records_fini(&fold->records);
  XXH3_freeState(fold->state);
  free(fold->chunks);
  free(fold->keys.slots);
}

uint64_t tsh_digest_bytes(const void *bytes, size_t size) {
  return XXH3_64bits(bytes, size);
}

/* --- feeding ----------------------------------------------------------------
 */

/* Fixed-size facts first, lengths among them, so that neighbours cannot run
 * into each other; -1 is null. */
static void feed(XXH3_state_t *state, const void *bytes, size_t size) {
  if (size)
    XXH3_64bits_update(state, bytes, size);
}

static void feed_record(XXH3_state_t *state, const tsh_record *record,
                        bool with_offsets) {
  const int64_t facts[] = {record->timestamp, record->header_count,
                           record->key ? (int64_t)record->key_size : -1,
                           record->value ? (int64_t)record->value_size : -1,
                           with_offsets ? record->offset : -1};
  feed(state, facts, sizeof facts);
  feed(state, record->key, record->key_size);
  feed(state, record->value, record->value_size);
  feed(state, record->headers, record->headers_size);
}

static void feed_batch(XXH3_state_t *state, const tsh_batch *batch,
                       bool with_offsets) {
  const int64_t facts[] = {batch->attributes &
                               (TSH_BATCH_CODEC | TSH_BATCH_APPEND_TIME),
                           batch->count,
                           batch->base_timestamp,
                           batch->max_timestamp,
                           (int64_t)batch->size,
                           with_offsets ? batch->base_offset : -1};
  feed(state, facts, sizeof facts);
  feed(state, batch->bytes + TSH_BATCH_HEADER, batch->size - TSH_BATCH_HEADER);
}

/* --- chunks -----------------------------------------------------------------
 */

static int close_chunk(tsh_fold *fold, tsh_err *err) {
  if (fold->open.records == 0)
    return 0;
  if (fold->count >= TSH_DIGEST_MOST)
    return too_many(err);
  if (fold->count == fold->capacity) {
    size_t capacity = fold->capacity ? fold->capacity * 2 : FIRST_CHUNKS;
    void *chunks = realloc(fold->chunks, capacity * sizeof *fold->chunks);
    if (!chunks)
      return no_memory(err);
    fold->chunks = chunks;
    fold->capacity = capacity;
  }
  fold->open.hash = XXH3_64bits_digest(fold->state);
  fold->chunks[fold->count++] = fold->open;
  fold->open = (tsh_digest_chunk){0};
  XXH3_64bits_reset(fold->state);
  return 0;
}

static int grow_chunk(tsh_fold *fold, int64_t from, int64_t to, int64_t records,
                      tsh_err *err) {
  if (fold->open.records == 0)
    fold->open.from = from;
  fold->open.to = to;
  fold->open.records += records;
  return fold->open.records >= fold->chunk ? close_chunk(fold, err) : 0;
}

/* --- keys -------------------------------------------------------------------
 */

static tsh_digest_key *find_slot(const tsh_key_map *map,
                                 const uint64_t key[2]) {
  size_t mask = map->capacity - 1, at = key[0] & mask;
  while (map->slots[at].offset >= 0 &&
         (map->slots[at].key[0] != key[0] || map->slots[at].key[1] != key[1]))
    at = (at + 1) & mask;
  return &map->slots[at];
}

static int grow_map(tsh_key_map *map, tsh_err *err) {
  tsh_key_map wider = {.count = map->count};
  wider.capacity = map->capacity ? map->capacity * 2 : FIRST_SLOTS;
  wider.slots = malloc(wider.capacity * sizeof *wider.slots);
  if (!wider.slots)
    return no_memory(err);
  for (size_t i = 0; i < wider.capacity; i++)
    wider.slots[i].offset = -1;
  for (size_t i = 0; i < map->capacity; i++)
    if (map->slots[i].offset >= 0)
      *find_slot(&wider, map->slots[i].key) = map->slots[i];
  free(map->slots);
  *map = wider;
  return 0;
}

static uint64_t hash_record(tsh_fold *fold, const tsh_record *record) {
  if (!record->value)
    return 0;
  XXH3_64bits_reset(fold->state);
  feed_record(fold->state, record, fold->with_offsets);
  uint64_t hash = XXH3_64bits_digest(fold->state);
  return hash ? hash : 1; /* 0 says: no value */
}

static int put_key(tsh_fold *fold, const tsh_record *record, tsh_err *err) {
  tsh_key_map *map = &fold->keys;
  if (!record->key) {
    fold->keyless++;
    return 0;
  }
  if (map->count >= TSH_DIGEST_MOST)
    return too_many(err);
  if (map->count >= map->capacity / 4 * 3 && grow_map(map, err) != 0)
    return TSH_NO_MEMORY;
  XXH128_hash_t key = XXH3_128bits(record->key, record->key_size);
  uint64_t halves[2] = {key.low64, key.high64};
  tsh_digest_key *slot = find_slot(map, halves);
  if (slot->offset < 0)
    map->count++;
  *slot = (tsh_digest_key){.key = {halves[0], halves[1]},
                           .hash = hash_record(fold, record),
                           .offset = record->offset};
  return 0;
}

/* --- batches ----------------------------------------------------------------
 */

static int add_record(tsh_fold *fold, const tsh_record *record, tsh_err *err) {
  if (record->offset < fold->from || record->offset >= fold->to)
    return 0;
  if (fold->mode == TSH_DIGEST_COMPACTED)
    return put_key(fold, record, err);
  feed_record(fold->state, record, fold->with_offsets);
  return grow_chunk(fold, record->offset, record->offset + 1, 1, err);
}

static int add_records(tsh_fold *fold, const tsh_batch *batch, tsh_err *err) {
  tsh_record record;
  int status = tsh_records_open(&fold->records, batch, LARGEST_BATCH, err);
  if (status < 0)
    return status;
  while ((status = tsh_records_next(&fold->records, &record, err)) == 1)
    if ((status = add_record(fold, &record, err)) < 0)
      break;
  return status;
}

int tsh_fold_add(tsh_fold *fold, const tsh_batch *batch, tsh_err *err) {
  int64_t next = tsh_batch_next_offset(batch);
  int status = tsh_batch_check(batch, err);
  if (status < 0)
    return status;
  if (batch->count == 0 || next <= fold->from || batch->base_offset >= fold->to)
    return 0;
  if (fold->mode != TSH_DIGEST_BATCHES || batch->base_offset < fold->from ||
      next > fold->to)
    return add_records(fold, batch, err);
  feed_batch(fold->state, batch, fold->with_offsets);
  return grow_chunk(fold, batch->base_offset, next, batch->count, err);
}

/* --- the end ----------------------------------------------------------------
 */

static int by_key(const void *a, const void *b) {
  const tsh_digest_key *x = a, *y = b;
  if (x->key[1] != y->key[1])
    return x->key[1] < y->key[1] ? -1 : 1;
  if (x->key[0] != y->key[0])
    return x->key[0] < y->key[0] ? -1 : 1;
  return 0;
}

static int64_t bucket_of(const tsh_fold *fold, const tsh_digest_key *key) {
  return (int64_t)(key->key[1] % (uint64_t)fold->chunk);
}

/* The sum does not depend on the order, which differs between the sides. */
static void add_to_bucket(tsh_digest_chunk *bucket, const tsh_digest_key *key) {
  if (bucket->records == 0 || key->offset < bucket->from)
    bucket->from = key->offset;
  if (key->offset >= bucket->to)
    bucket->to = key->offset + 1;
  bucket->records++;
  bucket->hash += XXH3_64bits(key->key, sizeof key->key + sizeof key->hash);
}

static int make_buckets(tsh_fold *fold, int64_t bucket, tsh_err *err) {
  tsh_key_map *map = &fold->keys;
  size_t kept = 0;
  fold->chunks = calloc((size_t)fold->chunk, sizeof *fold->chunks);
  if (!fold->chunks)
    return no_memory(err);
  fold->count = (size_t)fold->chunk;
  for (size_t i = 0; i < map->capacity; i++) {
    tsh_digest_key key = map->slots[i];
    if (key.offset < 0 || key.hash == 0)
      continue;
    int64_t its = bucket_of(fold, &key);
    add_to_bucket(&fold->chunks[its], &key);
    if (its == bucket)
      map->slots[kept++] = key; /* kept <= i */
  }
  map->count = kept;
  if (kept)
    qsort(map->slots, kept, sizeof *map->slots, by_key);
  return 0;
}

int tsh_fold_finish(tsh_fold *fold, int64_t bucket, tsh_digest *out,
                    tsh_err *err) {
  bool compacted = fold->mode == TSH_DIGEST_COMPACTED;
  int status =
      compacted ? make_buckets(fold, bucket, err) : close_chunk(fold, err);
  if (status < 0)
    return status;
  out->chunks = fold->chunks;
  out->count = fold->count;
  out->keys = fold->keys.slots;
  out->key_count = compacted ? fold->keys.count : 0;
  out->keyless = fold->keyless;
  fold->chunks = NULL;
  fold->keys.slots = NULL;
  return 0;
}
