/* Two brokers in a process, as far as the copier needs them: Fetch 12,
 * Produce 8 and ListOffsets 4 over real sockets, a thread per connection.
 * The target refuses and recognises batches by their sequences as a broker
 * does. Both misbehave on request. */
#ifndef MIRROR_WORLD_H
#define MIRROR_WORLD_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "batch_make.h"
#include "mirror_bytes.h"

#ifndef MOST_LOGS /* a test may want more of them, and need less of each */
#define MOST_LOGS 16
#define MOST_ABORTED 256
#endif

enum { REMEMBERED = 5, MOST_CONNS = 4096, MOST_SESSIONS = 32, MOST_ENDS = 16 };

typedef struct log_batch {
  made bytes;
  int64_t base, next;
} log_batch;

typedef struct aborted_txn {
  int64_t producer, first, last;
} aborted_txn;

/* One partition. */
typedef struct log {
  log_batch *batches;
  int count;
  int64_t start, end;
  aborted_txn aborted[MOST_ABORTED];
  int aborted_count;
  int64_t producer;
  int epoch, known; /* batches of it that are remembered */
  int32_t next_sequence;
  struct {
    int32_t sequence, count;
    int64_t base;
  } last[REMEMBERED];
} log;

/* A fetch session: what it wants of each log. */
typedef struct session {
  int id, epoch;
  bool in[MOST_LOGS];
  struct asked {
    int32_t partition;
    int64_t offset;
    int32_t last_epoch;
  } wants[MOST_LOGS];
} session;
typedef struct asked asked;

typedef struct broker {
  struct world *world;
  session sessions[MOST_SESSIONS];
  int session_count;
  int full_fetches, session_fetches, told; /* of sessions: wants told */
  log logs[MOST_LOGS];
  int listener;
  uint16_t port;
  pthread_t thread;
  int conns[MOST_CONNS];
  pthread_t servers[MOST_CONNS];
  int conn_count;
} broker;

typedef struct world {
  pthread_mutex_t lock; /* of the logs and faults */
  broker source, target;
  atomic_bool closing;
  /* Chances in a thousand requests. */
  int drop_before, drop_after, refuse;
  uint32_t seed;
  /* Told once, then forgotten. */
  int fetch_error, produce_error, shift_base, diverge, session_error;
  int bad_record;    /* beside a produce_error, if above 0 */
  int empty_answers; /* of partitions that hold something */
  int concurrent;    /* transactions' requests that come too early */
  struct ended {
    char name[16];
    bool commit;
  } ends[MOST_ENDS]; /* transactions that were ended */
  int end_count;
  atomic_bool hold_produce[MOST_LOGS], hold_offsets; /* their askers wait */
  atomic_int offsets_asked;
  size_t most_size; /* of a batch that is taken; 0: any */
} world;

static inline int chance(world *w, int in_thousand) {
  w->seed = w->seed * 1664525u + 1013904223u;
  return (int)((w->seed >> 8) % 1000) < in_thousand;
}

/* --- logs -------------------------------------------------------------------
 */

/* Takes the batch over; its base offset is what it says. */
static inline void log_append(log *l, made bytes) {
  tsh_batch header = read_batch(bytes);
  l->batches = realloc(l->batches, (size_t)(l->count + 1) * sizeof *l->batches);
  l->batches[l->count++] =
      (log_batch){bytes, header.base_offset, tsh_batch_next_offset(&header)};
  l->end = tsh_batch_next_offset(&header);
}

static inline void log_free(log *l) {
  for (int i = 0; i < l->count; i++)
    free(l->batches[i].bytes.bytes);
  free(l->batches);
}

static inline int next_after(int32_t sequence, int count) {
  return (int)((sequence + (int64_t)count) & INT32_MAX);
}

/* A produced batch: the error, and where it lies. */
static inline int log_produce(world *w, log *l, const uint8_t *bytes,
                              size_t size, int64_t *base) {
  made copy = {malloc(size), size};
  memcpy(copy.bytes, bytes, size);
  tsh_batch header = read_batch(copy);
  assert_true(tsh_batch_is_dense(&header) && header.base_offset == 0);
  int error = tsh_batch_check(&header, NULL) == 0 ? 0 : 2;
  if (error == 0 && header.producer_id >= 0) {
    bool same = header.producer_id == l->producer &&
                header.producer_epoch == l->epoch && l->known > 0;
    for (int i = 0; same && i < REMEMBERED && i < l->known; i++)
      if (l->last[i].sequence == header.base_sequence &&
          l->last[i].count == header.count) {
        *base = l->last[i].base;
        free(copy.bytes);
        return 0;
      }
    if (same && header.base_sequence != l->next_sequence)
      error = 45;
  }
  if (error != 0) {
    free(copy.bytes);
    *base = -1;
    return error;
  }
  l->producer = header.producer_id;
  l->epoch = header.producer_epoch;
  memmove(&l->last[1], &l->last[0], sizeof l->last - sizeof l->last[0]);
  l->last[0].sequence = header.base_sequence;
  l->last[0].count = header.count;
  l->last[0].base = l->end;
  l->known++;
  l->next_sequence = next_after(header.base_sequence, header.count);
  *base = l->end + w->shift_base;
  w->shift_base = 0;
  big_endian(copy.bytes, (uint64_t)l->end, 8);
  log_append(l, copy);
  return 0;
}

/* --- answers ----------------------------------------------------------------
 */

static inline void put_partition(broker *b, out *o, const asked *want,
                                 size_t *room) {
  world *w = b->world;
  log *l = &b->logs[want->partition];
  int error = w->fetch_error;
  bool diverges = w->diverge != 0 && want->last_epoch >= 0;
  w->fetch_error = 0;
  if (want->offset < l->start || want->offset > l->end)
    error = 1;
  put_n(o, want->partition, 4);
  put_n(o, error, 2);
  put_n(o, error ? -1 : l->end, 8);
  put_n(o, error ? -1 : l->end, 8);
  put_n(o, error ? -1 : l->start, 8);
  int overlapping = 0;
  for (int i = 0; i < l->aborted_count; i++)
    overlapping += l->aborted[i].last >= want->offset;
  put_var(o, (uint64_t)overlapping + 1);
  for (int i = 0; i < l->aborted_count; i++)
    if (l->aborted[i].last >= want->offset) {
      put_n(o, l->aborted[i].producer, 8);
      put_n(o, l->aborted[i].first, 8);
      put_n(o, 0, 1);
    }
  put_n(o, -1, 4);
  out records = {0};
  size_t first = 0;
  int i = 0;
  while (i < l->count && l->batches[i].next <= want->offset)
    i++;
  bool is_empty = w->empty_answers > 0 && i < l->count;
  w->empty_answers -= is_empty;
  for (; error == 0 && !diverges && !is_empty && i<l->count && * room> 0; i++) {
    size_t size = l->batches[i].bytes.size;
    put_raw(&records, l->batches[i].bytes.bytes, size);
    first = first == 0 ? size : first;
    *room = size < *room ? *room - size : 0;
  }
  if (records.size >= first + 100 && chance(w, 100))
    records.size -= 99; /* the last is cut off */
  put_var(o, records.size + 1);
  put_raw(o, records.bytes, records.size);
  free(records.bytes);
  if (diverges) {
    put_n(o, 1, 1); /* one tagged field: diverging epoch */
    put_n(o, 0, 1);
    put_n(o, 13, 1);
    put_n(o, w->diverge, 4);
    put_n(o, 7, 8);
    put_n(o, 0, 1);
  } else {
    put_n(o, 0, 1);
  }
}

static inline bool some_data(broker *b, const asked *wants, int count) {
  for (int i = 0; i < count; i++) {
    log *l = &b->logs[wants[i].partition];
    if (wants[i].offset != l->end)
      return true;
  }
  return b->world->fetch_error != 0 || b->world->diverge != 0;
}

/* With the lock held: what the request tells, added to its session; the
 * number of wants, or minus an error. */
static inline int join_session(broker *b, int id, int epoch, const asked *told,
                               int count, in *i, session **out) {
  session *s = NULL;
  int error = b->world->session_error;
  b->world->session_error = 0;
  if (error != 0)
    return -error;
  if (id == 0) {
    assert_true(epoch == 0 && b->session_count < MOST_SESSIONS);
    s = &b->sessions[b->session_count++];
    *s = (session){.id = b->session_count};
  } else {
    s = &b->sessions[id - 1];
    if (epoch != s->epoch)
      return -71;
  }
  s->epoch++;
  for (int k = 0; k < count; k++) {
    s->in[told[k].partition] = true;
    s->wants[told[k].partition] = told[k];
  }
  for (int topics = (int)get_var(i) - 1; topics > 0; topics--) {
    i->at += get_var(i) - 1;
    for (int k = (int)get_var(i) - 1; k > 0; k--)
      s->in[get_n(i, 4)] = false;
    get_var(i);
  }
  b->session_fetches++;
  b->told += count;
  *out = s;
  return 0;
}

static inline int wants_of(const session *s, asked *wants) {
  int count = 0;
  for (int p = 0; p < MOST_LOGS; p++)
    if (s->in[p])
      wants[count++] = s->wants[p];
  return count;
}

static inline int read_wants(in *i, asked *wants) {
  int count = 0;
  if (get_var(i) == 1)
    return 0;
  i->at += get_var(i) - 1; /* the one topic */
  count = (int)get_var(i) - 1;
  for (int k = 0; k < count; k++) {
    wants[k].partition = (int32_t)get_n(i, 4);
    get_n(i, 4);
    wants[k].offset = get_n(i, 8);
    wants[k].last_epoch = (int32_t)get_n(i, 4);
    get_n(i, 12);
    get_var(i);
  }
  get_var(i);
  return count;
}

static inline bool has_news(broker *b, const asked *want) {
  return b->logs[want->partition].end != want->offset;
}

static inline void serve_fetch(broker *b, in *i, out *o) {
  asked wants[MOST_LOGS];
  session *s = NULL;
  int error = 0;
  get_n(i, 4);
  int64_t wait_ms = get_n(i, 4);
  get_n(i, 4);
  size_t room = (size_t)get_n(i, 4);
  get_n(i, 1);
  int id = (int)get_n(i, 4), epoch = (int)get_n(i, 4);
  int count = read_wants(i, wants);
  pthread_mutex_lock(&b->world->lock);
  if (epoch >= 0) {
    error = -join_session(b, id, epoch, wants, count, i, &s);
    count = error != 0 ? 0 : wants_of(s, wants);
  } else {
    b->full_fetches++;
  }
  pthread_mutex_unlock(&b->world->lock);
  for (; error == 0 && wait_ms > 0 && !b->world->closing; wait_ms--) {
    pthread_mutex_lock(&b->world->lock);
    bool ready = some_data(b, wants, count);
    pthread_mutex_unlock(&b->world->lock);
    if (ready)
      break;
    usleep(1000);
  }
  pthread_mutex_lock(&b->world->lock);
  if (id != 0) { /* only what has news */
    int kept = 0;
    for (int k = 0; k < count; k++)
      if (has_news(b, &wants[k]))
        wants[kept++] = wants[k];
    count = kept;
  }
  put_n(o, 0, 1); /* tags of the header */
  put_n(o, 0, 4);
  put_n(o, error, 2);
  put_n(o, s != NULL ? s->id : 0, 4);
  put_var(o, count > 0 ? 2 : 1);
  if (count > 0) {
    put_var(o, 2);
    put_raw(o, "t", 1);
    put_var(o, (uint64_t)count + 1);
    for (int k = 0; k < count; k++)
      put_partition(b, o, &wants[k], &room);
    put_n(o, 0, 1);
  }
  pthread_mutex_unlock(&b->world->lock);
  put_n(o, 0, 1);
}

static inline void serve_produce(broker *b, in *i, out *o) {
  world *w = b->world;
  int64_t id_size = get_n(i, 2); /* of a transaction, or -1 */
  i->at += id_size > 0 ? id_size : 0;
  assert_int_equal(get_n(i, 2), -1); /* acks=all */
  get_n(i, 4);
  assert_int_equal(get_n(i, 4), 1);
  i->at += get_n(i, 2);
  int count = (int)get_n(i, 4);
  put_n(o, 1, 4);
  put_n(o, 1, 2);
  put_raw(o, "t", 1);
  put_n(o, count, 4);
  for (int k = 0; k < count; k++) {
    int32_t partition = (int32_t)get_n(i, 4);
    size_t size = (size_t)get_n(i, 4);
    int64_t base = -1;
    while (w->hold_produce[partition] && !w->closing)
      usleep(1000);
    pthread_mutex_lock(&w->lock);
    int error = w->produce_error, bad_record = error ? w->bad_record : 0;
    w->produce_error = 0;
    if (w->most_size > 0 && size > w->most_size)
      error = 10;
    if (error == 0)
      error = chance(w, w->refuse)
                  ? 6
                  : log_produce(w, &b->logs[partition], i->at, size, &base);
    pthread_mutex_unlock(&w->lock);
    i->at += size;
    put_n(o, partition, 4);
    put_n(o, error, 2);
    put_n(o, error ? -1 : base, 8);
    put_n(o, -1, 8);
    put_n(o, 0, 8);
    put_n(o, bad_record > 0 ? 1 : 0, 4);
    if (bad_record > 0) {
      put_n(o, bad_record, 4);
      put_n(o, -1, 2);
    }
    put_n(o, -1, 2);
  }
  put_n(o, 0, 4);
}

static inline void serve_offsets(broker *b, in *i, out *o) {
  get_n(i, 4 + 1);
  get_n(i, 4);
  i->at += get_n(i, 2);
  get_n(i, 4);
  int32_t partition = (int32_t)get_n(i, 4);
  get_n(i, 4);
  int64_t timestamp = get_n(i, 8);
  b->world->offsets_asked++;
  while (b->world->hold_offsets && !b->world->closing)
    usleep(1000);
  pthread_mutex_lock(&b->world->lock);
  log *l = &b->logs[partition];
  put_n(o, 0, 4);
  put_n(o, 1, 4);
  put_n(o, 1, 2);
  put_raw(o, "t", 1);
  put_n(o, 1, 4);
  put_n(o, partition, 4);
  put_n(o, 0, 2);
  put_n(o, -1, 8);
  put_n(o, timestamp == -1 ? l->end : l->start, 8);
  put_n(o, 0, 4);
  pthread_mutex_unlock(&b->world->lock);
}

/* AddPartitionsToTxn 2 and EndTxn 5: all transactions are of partition 0, and a
 * marker has landed when the answer comes. */
static inline int too_early(world *w) {
  bool is = w->concurrent > 0;
  w->concurrent -= is;
  return is ? 51 : 0;
}

static inline void serve_begin(broker *b, out *o) {
  pthread_mutex_lock(&b->world->lock);
  int error = too_early(b->world);
  pthread_mutex_unlock(&b->world->lock);
  put_n(o, 0, 4);
  put_n(o, 1, 4);
  put_n(o, 1, 2);
  put_raw(o, "t", 1);
  put_n(o, 1, 4);
  put_n(o, 0, 4);
  put_n(o, error, 2);
}

static inline void serve_end(broker *b, in *i, out *o) {
  world *w = b->world;
  get_var(i);
  size_t size = (size_t)get_var(i) - 1;
  const uint8_t *name = i->at;
  i->at += size;
  int64_t id = get_n(i, 8), epoch = get_n(i, 2);
  bool commit = get_n(i, 1) != 0;
  pthread_mutex_lock(&w->lock);
  int error = too_early(w);
  if (error == 0) {
    struct ended *made = &w->ends[w->end_count++ % MOST_ENDS];
    *made = (struct ended){.commit = commit};
    memcpy(made->name, name, size);
    b->logs[0].end++;
  }
  pthread_mutex_unlock(&w->lock);
  put_n(o, 0, 1); /* tags of the header */
  put_n(o, 0, 4);
  put_n(o, error, 2);
  put_n(o, id, 8);
  put_n(o, epoch + 1, 2);
  put_n(o, 0, 1);
}

/* --- connections ------------------------------------------------------------
 */

/* False when the connection shall break. */
static inline bool serve_one(broker *b, int fd, const uint8_t *request) {
  world *w = b->world;
  in i = {request};
  out o = {0};
  int api = (int)get_n(&i, 2);
  get_n(&i, 2);
  put_n(&o, 0, 4); /* the size, later */
  put_n(&o, get_n(&i, 4), 4);
  i.at += get_n(&i, 2); /* client id */
  pthread_mutex_lock(&w->lock);
  bool before = chance(w, w->drop_before), after = chance(w, w->drop_after);
  pthread_mutex_unlock(&w->lock);
  if (!before) {
    if (api == 1) {
      get_var(&i);
      serve_fetch(b, &i, &o);
    } else if (api == 0) {
      serve_produce(b, &i, &o);
    } else if (api == 24) {
      serve_begin(b, &o);
    } else if (api == 26) {
      serve_end(b, &i, &o);
    } else {
      serve_offsets(b, &i, &o);
    }
  }
  big_endian(o.bytes, o.size - 4, 4);
  bool alive = !before && !after && write_all(fd, o.bytes, o.size);
  free(o.bytes);
  return alive;
}

typedef struct served {
  broker *broker;
  int fd;
} served;

static inline void *serve(void *user) {
  served mine = *(served *)user;
  uint8_t head[4];
  bool alive = true;
  free(user);
  while (alive && read_all(mine.fd, head, 4)) {
    size_t size = (size_t)get_n(&(in){head}, 4);
    uint8_t *request = malloc(size);
    alive = read_all(mine.fd, request, size) &&
            serve_one(mine.broker, mine.fd, request);
    free(request);
  }
  shutdown(mine.fd, SHUT_RDWR);
  return NULL;
}

static inline void *accept_all(void *user) {
  broker *b = user;
  int one = 1, fd;
  while ((fd = accept(b->listener, NULL, NULL)) >= 0) {
    served *s = malloc(sizeof *s);
    *s = (served){b, fd};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (b->conn_count == MOST_CONNS)
      abort();
    b->conns[b->conn_count] = fd;
    pthread_create(&b->servers[b->conn_count++], NULL, serve, s);
  }
  return NULL;
}

static inline void broker_start(world *w, broker *b) {
  struct sockaddr_in at = {.sin_family = AF_INET};
  socklen_t size = sizeof at;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  b->world = w;
  b->listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(b->listener, (void *)&at, sizeof at) != 0 ||
      listen(b->listener, 64) != 0)
    abort();
  getsockname(b->listener, (void *)&at, &size);
  b->port = ntohs(at.sin_port);
  for (int i = 0; i < MOST_LOGS; i++)
    b->logs[i].producer = -1;
  pthread_create(&b->thread, NULL, accept_all, b);
}

static inline void broker_stop(broker *b) {
  shutdown(b->listener, SHUT_RDWR);
  pthread_join(b->thread, NULL);
  for (int i = 0; i < b->conn_count; i++) {
    shutdown(b->conns[i], SHUT_RDWR);
    pthread_join(b->servers[i], NULL);
    close(b->conns[i]);
  }
  close(b->listener);
  for (int i = 0; i < MOST_LOGS; i++)
    log_free(&b->logs[i]);
}

static inline world *world_new(void) {
  world *w = calloc(1, sizeof *w);
  pthread_mutex_init(&w->lock, NULL);
  w->seed = 1;
  broker_start(w, &w->source);
  broker_start(w, &w->target);
  return w;
}

static inline void world_free(world *w) {
  w->closing = true;
  broker_stop(&w->source);
  broker_stop(&w->target);
  pthread_mutex_destroy(&w->lock);
  free(w);
}

#endif
