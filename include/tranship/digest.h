/* Digests of what a partition holds: equal contents, equal hashes.
 *
 * A digest fetches a range of offsets on a thread and connection of its own,
 * so the caller's loop never waits; control batches never count, and neither
 * do aborted ones when only committed data is asked for. Hashes are XXH3; they
 * find differences, they are no defence against somebody who forges. */
#ifndef TRANSHIP_DIGEST_H
#define TRANSHIP_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tranship/err.h"
#include "tranship/loop.h"

struct tsh_login;

typedef enum tsh_digest_mode {
  /* Whole batches, unopened: codec, count, timestamps and payload, which is
   * what forwarding keeps. A batch that is only partly in the range counts
   * record by record. Equal only where both sides hold the same batches. */
  TSH_DIGEST_BATCHES,
  /* Each record in order: key, value, headers, timestamp. */
  TSH_DIGEST_RECORDS,
  /* The last record of each key, keys without a value left out, in no order.
   * Compaction does not change it. Records without a key do not count. */
  TSH_DIGEST_COMPACTED
} tsh_digest_mode;

typedef struct tsh_digest_spec { /* texts are copied */
  const char *host;
  uint16_t port;
  struct tsh_login *login; /* kept; NULL: plain text */
  const char *topic;
  int32_t partition;
  int64_t from, to; /* offsets [from, to) */
  bool committed;
  tsh_digest_mode mode;
  bool with_offsets; /* offsets count too */
  /* Records per chunk; batches are not divided, so their chunks may be longer.
   * Compacted: the number of buckets that keys are spread over. */
  int64_t chunk;
  int64_t bucket;      /* compacted: tell this bucket's keys; -1: none */
  uint64_t timeout_ms; /* without progress; 0: 30 s */
} tsh_digest_spec;

typedef struct tsh_digest_chunk {
  int64_t from, to; /* its first record's offset, its last one's plus 1 */
  int64_t records;  /* compacted: keys that have a value */
  uint64_t hash;
} tsh_digest_chunk;

typedef struct tsh_digest_key {
  uint64_t key[2]; /* 128-bit hash of the key: the key, for our purposes */
  uint64_t hash;   /* of its last record */
  int64_t offset;  /* of its last record */
} tsh_digest_key;

/* The operation and, after status 0, its outcome. Fails with
 *   TSH_UNAVAILABLE  not connected, not the leader; or part of the range is not
 *                    readable yet (code 0: behind the last stable offset)
 *   TSH_LIMIT        code 1: the range is not in the log; code 0: more than
 *                    TSH_DIGEST_MOST chunks or keys
 *   TSH_PROTOCOL     a batch that is broken; other kinds as Kafka's codes mean
 */
typedef struct tsh_digest {
  tsh_op op;
  tsh_digest_chunk *chunks; /* in order of offsets, or of buckets */
  size_t count;
  tsh_digest_key *keys; /* of the asked bucket, those with a value, by key */
  size_t key_count;
  int64_t keyless; /* compacted: records without a key */
} tsh_digest;

enum { TSH_DIGEST_MOST = 10 * 1000 * 1000 };

/* NULL and err for values that cannot be meant, or no memory or thread. */
tsh_digest *tsh_digest_start(tsh_loop *loop, const tsh_digest_spec *spec,
                             tsh_err *err);

/* The hash of any bytes. */
uint64_t tsh_digest_bytes(const void *bytes, size_t size);

#endif
