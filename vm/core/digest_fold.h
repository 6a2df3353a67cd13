/* Folding batches into digests: the pure half of digest.c. */
#ifndef TRANSHIP_DIGEST_FOLD_H
#define TRANSHIP_DIGEST_FOLD_H

#include <xxhash.h>

#include "tranship/batch.h"
#include "tranship/digest.h"

/* The last record of every key: open addressing, a power of two of slots,
 * offset -1 marks a free one. */
typedef struct tsh_key_map {
  tsh_digest_key *slots;
  size_t capacity, count;
} tsh_key_map;

typedef struct tsh_fold {
  tsh_digest_mode mode;
  bool with_offsets;
  int64_t from, to, chunk;
  XXH3_state_t *state; /* of the open chunk or, compacted, of one record */
  tsh_digest_chunk open;
  tsh_digest_chunk *chunks;
  size_t count, capacity;
  tsh_records records;
  tsh_key_map keys;
  int64_t keyless;
} tsh_fold;

int tsh_fold_init(tsh_fold *fold, const tsh_digest_spec *spec, tsh_err *err);
void tsh_fold_fini(tsh_fold *fold);
/* Adds a batch of data; batches come in the order of their offsets. */
int tsh_fold_add(tsh_fold *fold, const tsh_batch *batch, tsh_err *err);
/* Closes the last chunk, or makes the buckets; chunks and keys are the
 * caller's afterwards. `bucket` as in the spec. */
int tsh_fold_finish(tsh_fold *fold, int64_t bucket, tsh_digest *out,
                    tsh_err *err);

#endif
