/* Digests of fetched data: a thread with a loop and one connection, which
 * always has the next Fetch under way while it folds the last one.
 *
 * The thread owns everything of `job` below the line; the owner's loop reads
 * it after the bell, when the thread is joined. The one thing shared meanwhile
 * is the wish to stop, told through the thread's own bell. */
#include "tranship/digest.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "digest_fold.h"
#include "tranship/login.h"
#include "tranship/proto.h"
#include "tranship/wire.h"

enum {
  FETCH_VERSION = 12,
  FETCH_BYTES = 8 << 20,
  FETCH_WAIT_MS = 500,
  LARGEST_SET = 1 << 30, /* bytes of old messages, opened */
  DEFAULT_TIMEOUT_MS = 30000
};

typedef struct job {
  tsh_digest digest; /* first: the owner frees by it */
  tsh_digest_spec spec;
  char *text;     /* host and topic */
  tsh_bell *done; /* on the owner's loop */
  uv_thread_t thread;
  uv_mutex_t lock; /* of the two below */
  tsh_bell *stop;  /* on the thread's loop, while it runs */
  bool is_canceled;

  /* --- the thread's --- */
  tsh_loop *loop;
  tsh_conn *conn;
  struct iovec request; /* of the Fetch under way */
  tsh_fold fold;
  tsh_aborted aborted;
  tsh_legacy legacy;
  int64_t position; /* next offset to fetch */
  uint64_t moved;   /* when it last moved, ms */
} job;

/* --- the thread
 * --------------------------------------------------------------- */

/* The first outcome stands. */
static void end(job *j, int status) {
  if (!j->conn)
    return;
  tsh_conn *conn = j->conn;
  j->conn = NULL;
  j->digest.op.status = status;
  tsh_conn_close(conn);
  tsh_loop_stop(j->loop);
}

static void on_reply(void *user, const tsh_reply *reply);

static int fetch(job *j, tsh_err *err) {
  const tsh_fetch_limits limits = {.max_wait_ms = FETCH_WAIT_MS,
                                   .min_bytes = 1,
                                   .max_bytes = FETCH_BYTES,
                                   .committed = j->spec.committed};
  const tsh_fetch_want want = {.topic = {j->spec.topic, strlen(j->spec.topic)},
                               .partition = j->spec.partition,
                               .leader_epoch = -1,
                               .last_epoch = -1,
                               .offset = j->position,
                               .max_bytes = FETCH_BYTES};
  free(j->request.iov_base);
  int status =
      tsh_fetch_encode(FETCH_VERSION, &limits, &want, 1, &j->request, err);
  if (status < 0)
    return status;
  const tsh_request req = {.api_key = TSH_API_FETCH,
                           .version = FETCH_VERSION,
                           .parts = &j->request,
                           .count = 1,
                           .replied = on_reply,
                           .user = j};
  return tsh_conn_send(j->conn, &req, err);
}

static int refused(const job *j, int code, tsh_err *err) {
  bool retriable;
  tsh_kind kind = tsh_kafka_error_kind(code, &retriable);
  const char *name = tsh_kafka_error_name(code);
  tsh_err_set(err, kind, "digest", code, "%s-%d from offset %lld on: %s",
              j->spec.topic, j->spec.partition, (long long)j->position,
              name ? name : "an unknown error code");
  err->retriable = retriable;
  return kind;
}

/* Moves behind the last whole batch, looking at headers alone. */
static int advance(job *j, const tsh_fetched *fetched, tsh_err *err) {
  const uint8_t *at = fetched->records;
  size_t left = fetched->records_size, used;
  int64_t position = j->position, next;
  int status;
  while ((status = tsh_batch_span(at, left, &next, &used, err)) == 1) {
    if (next > position)
      position = next;
    at += used;
    left -= used;
  }
  if (status < 0)
    return status;
  if (position > j->position)
    j->moved = tsh_loop_now(j->loop);
  j->position = position;
  return 0;
}

/* Nothing came: is there nothing to come, or is it late? */
static int wait_on(job *j, const tsh_fetched *fetched, tsh_err *err) {
  int64_t limit =
      j->spec.committed ? fetched->last_stable : fetched->high_watermark;
  uint64_t idle = tsh_loop_now(j->loop) - j->moved;
  if (j->position >= limit)
    return tsh_err_set(err, TSH_UNAVAILABLE, "digest", 0,
                       "%s-%d can be read up to offset %lld, not to %lld",
                       j->spec.topic, j->spec.partition, (long long)limit,
                       (long long)j->spec.to);
  if (idle > j->spec.timeout_ms)
    return tsh_err_set(err, TSH_TIMEOUT, "digest", 0,
                       "%s-%d: no data at offset %lld", j->spec.topic,
                       j->spec.partition, (long long)j->position);
  return 0;
}

static int read_aborted(job *j, tsh_fetched *fetched, tsh_err *err) {
  int64_t producer_id, first_offset;
  int status = 0;
  tsh_aborted_clear(&j->aborted);
  while (status == 0 &&
         tsh_fetched_aborted(fetched, &producer_id, &first_offset))
    status = tsh_aborted_add(&j->aborted, producer_id, first_offset, err);
  return status;
}

static int next_batch(job *j, const uint8_t *at, size_t left, tsh_batch *out,
                      size_t *used, tsh_err *err) {
  if (tsh_legacy_is(at, left))
    return tsh_legacy_read(&j->legacy, at, left, LARGEST_SET, out, used, err);
  int status = tsh_batch_read(out, at, left, err);
  if (status == 1)
    *used = out->size;
  return status;
}

static int fold_batches(job *j, tsh_fetched *fetched, tsh_err *err) {
  const uint8_t *at = fetched->records;
  size_t left = fetched->records_size, used = 0;
  tsh_batch batch;
  int status = read_aborted(j, fetched, err);
  if (status < 0)
    return status;
  while ((status = next_batch(j, at, left, &batch, &used, err)) == 1) {
    status = tsh_aborted_skips(&j->aborted, &batch, err);
    if (status == 0)
      status = tsh_fold_add(&j->fold, &batch, err);
    if (status < 0)
      break;
    at += used;
    left -= used;
  }
  return status;
}

/* 1: the range is read; 0: the next Fetch is under way. */
static int take(job *j, const tsh_reply *reply, tsh_err *err) {
  tsh_fetch_iter iter;
  tsh_fetched fetched;
  int16_t code;
  int64_t before = j->position;
  int status = tsh_fetch_open(&iter, FETCH_VERSION, reply->data, reply->size,
                              &code, err);
  if (status < 0)
    return status;
  if (code != 0)
    return refused(j, code, err);
  status = tsh_fetch_next(&iter, &fetched, err);
  if (status < 0)
    return status;
  if (status == 0 || fetched.partition != j->spec.partition)
    return tsh_err_set(err, TSH_PROTOCOL, "digest", 0,
                       "a Fetch response without what was asked for");
  if (fetched.error != 0)
    return refused(j, fetched.error, err);
  if ((status = advance(j, &fetched, err)) < 0)
    return status;
  if (j->position == before && (status = wait_on(j, &fetched, err)) < 0)
    return status;
  bool is_last = j->position >= j->spec.to;
  if (!is_last && (status = fetch(j, err)) < 0)
    return status;
  status = fold_batches(j, &fetched, err);
  return status < 0 ? status : is_last;
}

static void on_reply(void *user, const tsh_reply *reply) {
  job *j = user;
  tsh_err *err = &j->digest.op.err;
  int status = reply->status;
  if (!j->conn)
    return; /* ended already: the answer to closing */
  if (status < 0)
    *err = *reply->err;
  else
    status = take(j, reply, err);
  if (status == 1)
    status = tsh_fold_finish(&j->fold, j->spec.bucket, &j->digest, err);
  else if (status == 0)
    return;
  end(j, status);
}

static void on_stop(void *user) {
  job *j = user;
  uv_mutex_lock(&j->lock);
  bool is_canceled = j->is_canceled;
  uv_mutex_unlock(&j->lock);
  if (is_canceled)
    end(j,
        tsh_err_set(&j->digest.op.err, TSH_CANCELED, "digest", 0, "canceled"));
}

static int work(job *j, tsh_err *err) {
  const tsh_conn_options options = {.host = j->spec.host,
                                    .port = j->spec.port,
                                    .login = j->spec.login,
                                    .client_id = "tranship-digest",
                                    .read_only = true,
                                    .timeout_ms = j->spec.timeout_ms};
  int status = tsh_fold_init(&j->fold, &j->spec, err);
  j->position = j->spec.from;
  j->moved = tsh_loop_now(j->loop);
  if (status < 0)
    return status;
  if (j->position >= j->spec.to)
    return tsh_fold_finish(&j->fold, j->spec.bucket, &j->digest, err);
  j->conn = tsh_conn_open(j->loop, &options, err);
  if (!j->conn)
    return err->kind;
  status = fetch(j, err);
  if (status < 0)
    end(j, status);
  else
    tsh_loop_run(j->loop);
  return j->digest.op.status;
}

static void set_stop(job *j, tsh_bell *bell) {
  uv_mutex_lock(&j->lock);
  tsh_bell *old = j->stop;
  j->stop = bell;
  if (bell && j->is_canceled)
    tsh_bell_ring(bell);
  uv_mutex_unlock(&j->lock);
  if (old)
    tsh_bell_close(old);
}

static void thread_main(void *arg) {
  job *j = arg;
  tsh_op *op = &j->digest.op;
  tsh_aborted_init(&j->aborted);
  if ((op->status = tsh_loop_open(&j->loop, &op->err)) == 0) {
    set_stop(j, tsh_bell_open(j->loop, on_stop, j));
    op->status = work(j, &op->err);
    set_stop(j, NULL);
    tsh_loop_run(j->loop); /* until the last handle is closed */
    tsh_loop_close(j->loop);
    tsh_fold_fini(&j->fold);
  }
  tsh_aborted_fini(&j->aborted);
  tsh_legacy_fini(&j->legacy);
  free(j->request.iov_base);
  tsh_bell_ring(j->done);
}

/* --- the owner's side
 * ---------------------------------------------------------- */

static void on_done(void *user) {
  job *j = user;
  uv_thread_join(&j->thread);
  tsh_bell_close(j->done);
  j->digest.op.done(&j->digest.op);
}

static void op_cancel(tsh_op *op) {
  job *j = (job *)op;
  uv_mutex_lock(&j->lock);
  j->is_canceled = true;
  if (j->stop)
    tsh_bell_ring(j->stop);
  uv_mutex_unlock(&j->lock);
}

static void op_free(tsh_op *op) {
  job *j = (job *)op;
  free(j->digest.chunks);
  free(j->digest.keys);
  uv_mutex_destroy(&j->lock);
  tsh_login_release(j->spec.login);
  free(j->text);
  free(j);
}

static bool is_meant(const tsh_digest_spec *spec) {
  return spec->host && *spec->host && spec->port && spec->topic &&
         *spec->topic && spec->partition >= 0 && spec->from >= 0 &&
         spec->to >= spec->from && spec->chunk > 0 &&
         (spec->mode != TSH_DIGEST_COMPACTED ||
          (spec->chunk <= TSH_DIGEST_MOST && spec->bucket < spec->chunk));
}

static job *new_job(const tsh_digest_spec *spec) {
  size_t host = strlen(spec->host) + 1, topic = strlen(spec->topic) + 1;
  job *j = calloc(1, sizeof *j);
  char *text = malloc(host + topic);
  if (!j || !text || uv_mutex_init(&j->lock) != 0) {
    free(text);
    free(j);
    return NULL;
  }
  memcpy(text, spec->host, host);
  memcpy(text + host, spec->topic, topic);
  j->text = text;
  j->spec = *spec;
  tsh_login_keep(spec->login);
  j->spec.host = text;
  j->spec.topic = text + host;
  if (!j->spec.timeout_ms)
    j->spec.timeout_ms = DEFAULT_TIMEOUT_MS;
  j->digest.op.cancel = op_cancel;
  j->digest.op.free = op_free;
  return j;
}

tsh_digest *tsh_digest_start(tsh_loop *loop, const tsh_digest_spec *spec,
                             tsh_err *err) {
  if (!is_meant(spec)) {
    tsh_err_set(err, TSH_INVALID, "digest", 0,
                "a digest needs a host, a port, a topic, and offsets from <= "
                "to in chunks of at least 1");
    return NULL;
  }
  job *j = new_job(spec);
  if (!j) {
    tsh_err_set(err, TSH_NO_MEMORY, "digest", 0, "no memory for a digest");
    return NULL;
  }
  j->done = tsh_bell_open(loop, on_done, j);
  int status = uv_thread_create(&j->thread, thread_main, j);
  if (status == 0)
    return &j->digest;
  tsh_err_errno(err, -status, "a thread for a digest");
  tsh_bell_close(j->done);
  op_free(&j->digest.op);
  return NULL;
}
