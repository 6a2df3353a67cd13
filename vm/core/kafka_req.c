/* Calls under way: how they start, go on and end.
 *
 * A call may end before librdkafka has answered (cancel, a refused login, the
 * handle closed). It is told to its owner once, at once; the memory stays until
 * the late answer has come, or can come no more.
 *
 * Owners may close the handle from inside `done`, so finished calls are first
 * put aside and told at the end, when the handle is not touched any more. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "kafka_int.h"
#include "tranship/log.h"

/* Until a coordinator or leader that is being made is asked again. */
enum { RETRY_MS = 100 };

/* Ends of calls. */

static void unlink_from_all(kafka_req *req) {
  kafka_req **at = &req->kafka->all;
  while (*at != req)
    at = &(*at)->all_next;
  *at = req->all_next;
}

void tsh_kafka__forget(kafka_req *req) {
  if (!req->freed || req->pending > 0)
    return;
  if (req->kafka)
    unlink_from_all(req);
  if (req->release)
    req->release(req);
  tsh_pool_free(req->pool);
  free(req);
}

static void req_free(tsh_op *op) {
  kafka_req *req = (kafka_req *)op;
  req->freed = true;
  tsh_kafka__forget(req);
}

static void req_cancel(tsh_op *op) {
  kafka_req *req = (kafka_req *)op;
  req->canceled = true;
  if (req->kafka && !req->finished)
    tsh_bell_ring(req->kafka->bell);
}

static void stop_retry(kafka_req *req) {
  if (req->retry)
    tsh_timer_stop(req->retry);
  req->retry = NULL;
}

static void unlink_req(kafka_req *req) {
  kafka_req **at = &req->kafka->reqs;
  while (*at != req)
    at = &(*at)->next;
  *at = req->next;
}

/* Puts a call aside as finished; `tell` tells its owner. */
void tsh_kafka__finish(kafka_req *req, int status) {
  assert(!req->finished);
  if (!status && tsh_pool_failed(req->pool))
    status = tsh_err_set(&req->pub.op.err, TSH_NO_MEMORY, "kafka", 0,
                         "no memory for the answer");
  req->finished = true;
  req->pub.op.status = status;
  req->pub.result = req->out;
  stop_retry(req);
  unlink_req(req);
  req->next = req->kafka->done;
  req->kafka->done = req;
}

static void tell(tsh_kafka *kafka) {
  kafka_req *req = kafka->done;
  kafka->done = NULL;
  for (kafka_req *next; req; req = next) {
    next = req->next;
    req->pub.op.done(&req->pub.op);
  }
}

/* When a deadline passes or no broker answers, the connection's own last words
 * say more than "timed out". */
static void explain(tsh_kafka *kafka, tsh_err *err) {
  if (!kafka->trouble.kind ||
      (err->kind != TSH_TIMEOUT && err->kind != TSH_UNAVAILABLE))
    return;
  bool retriable = err->retriable;
  *err = kafka->trouble;
  err->retriable = err->kind != TSH_AUTH && retriable;
}

static void fail(kafka_req *req, int status) {
  explain(req->kafka, &req->pub.op.err);
  tsh_kafka__finish(req,
                    req->pub.op.err.kind ? (int)req->pub.op.err.kind : status);
}

/* Steps of calls. */

static int start(kafka_req *req) {
  req->items = req->failed = req->transient = 0;
  req->out = tsh_data_table(req->pool);
  return req->primitive->start(req, &req->pub.op.err);
}

static void start_again(void *user) {
  kafka_req *req = user;
  tsh_kafka *kafka = req->kafka;
  stop_retry(req);
  req->step = 0;
  memset(&req->pub.op.err, 0, sizeof req->pub.op.err);
  int status = start(req);
  if (status < 0)
    fail(req, status);
  tell(kafka);
}

/* Coordinators and leaders that are just being made answer "not yet". Reading
 * is repeated when an item says so; writing only when all do, since what has
 * been done must not be done again. */
static bool must_retry(kafka_req *req, int status) {
  size_t enough = req->primitive->class == READS ? 1 : req->items;
  bool transient = status < 0 ? tsh_kafka__is_transient(req->pub.op.err.code)
                              : req->items > 0 && req->transient >= enough;
  uint64_t now = tsh_loop_now(req->kafka->loop);
  return transient && now + RETRY_MS < req->deadline;
}

static void advance(kafka_req *req, int status) {
  if (status == KAFKA_MORE)
    return;
  if (must_retry(req, status))
    req->retry = tsh_timer_start(req->kafka->loop, RETRY_MS, start_again, req);
  else if (status < 0)
    fail(req, status);
  else
    tsh_kafka__finish(req, 0);
}

void tsh_kafka__item(kafka_req *req, tsh_data *item, rd_kafka_resp_err_t code,
                     const char *text) {
  tsh_err err = {0};
  req->items++;
  if (!code)
    return;
  req->failed++;
  req->transient += tsh_kafka__is_transient(code);
  tsh_kafka__fail(&err, code, text);
  tsh_data_add_err(req->pool, item, "err", &err);
}

const tsh_data *tsh_kafka__table_arg(kafka_req *req, size_t position,
                                     tsh_err *err) {
  const tsh_data *arg = tsh_data_at(req->args, position);
  if (arg && arg->kind == TSH_DATA_TABLE)
    return arg;
  tsh_err_set(err, TSH_INVALID, "kafka", 0, "%s: argument %zu must be a table",
              req->primitive->name, position);
  return NULL;
}

/* Events. */

static void result_event(kafka_req *req, rd_kafka_event_t *event) {
  tsh_err *err = &req->pub.op.err;
  rd_kafka_resp_err_t code = rd_kafka_event_error(event);
  req->pending--;
  if (req->finished) {
    tsh_kafka__forget(req);
    return;
  }
  int status;
  if (code) {
    status = tsh_kafka__fail(err, code, rd_kafka_event_error_string(event));
  } else {
    req->kafka->answered = true;
    memset(&req->kafka->trouble, 0, sizeof req->kafka->trouble);
    status = req->primitive->read(req, event, err);
  }
  advance(req, status);
}

/* With TLS 1.3 a broker refuses a certificate after the handshake, and what
 * arrives is an alert on a connection that broke. */
static rd_kafka_resp_err_t code_of(rd_kafka_event_t *event) {
  rd_kafka_resp_err_t code = rd_kafka_event_error(event);
  const char *text = rd_kafka_event_error_string(event);
  return code == RD_KAFKA_RESP_ERR__TRANSPORT && strstr(text, "SSL alert")
             ? RD_KAFKA_RESP_ERR__SSL
             : code;
}

/* A refused login will not get better while we wait for it. */
static void error_event(tsh_kafka *kafka, rd_kafka_event_t *event) {
  rd_kafka_resp_err_t code = code_of(event);
  tsh_err trouble = {0};
  tsh_kafka__fail(&trouble, code, rd_kafka_event_error_string(event));
  if (rd_kafka_event_error_is_fatal(event)) {
    char why[256];
    tsh_kafka__fail(&trouble, rd_kafka_fatal_error(kafka->rk, why, sizeof why),
                    why);
    trouble.fatal = true;
  }
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && kafka->trouble.kind)
    return; /* says less than what came before */
  kafka->trouble = trouble;
  if (!trouble.fatal && (kafka->answered || trouble.kind != TSH_AUTH))
    return;
  while (kafka->reqs) {
    kafka->reqs->pub.op.err = trouble;
    tsh_kafka__finish(kafka->reqs, trouble.kind);
  }
}

static void log_event(rd_kafka_event_t *event) {
  enum { SYSLOG_ERR = 3 };
  const char *facility = "", *text = "";
  int level = 0;
  if (rd_kafka_event_log(event, &facility, &text, &level) == 0)
    tsh_log(level <= SYSLOG_ERR ? TSH_INFO : TSH_DEBUG, "kafka: %s: %s",
            facility, text);
}

static void serve_event(tsh_kafka *kafka, rd_kafka_event_t *event) {
  switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_LOG:
      log_event(event);
      break;
    case RD_KAFKA_EVENT_ERROR:
      error_event(kafka, event);
      break;
    case RD_KAFKA_EVENT_DR:
      tsh_kafka__producer_serve(kafka, event);
      break;
    default:
      if (rd_kafka_event_opaque(event))
        result_event(rd_kafka_event_opaque(event), event);
  }
  rd_kafka_event_destroy(event);
}

static void end_canceled(tsh_kafka *kafka) {
  for (kafka_req *req = kafka->reqs, *next; req; req = next) {
    next = req->next;
    if (req->canceled)
      tsh_kafka__finish(req, tsh_err_set(&req->pub.op.err, TSH_CANCELED,
                                         "kafka", 0, "canceled"));
  }
}

void tsh_kafka__rung(void *user) {
  tsh_kafka *kafka = user;
  rd_kafka_event_t *event;
  end_canceled(kafka);
  while ((event = rd_kafka_queue_poll(kafka->queue, 0)))
    serve_event(kafka, event);
  if (kafka->role == TSH_KAFKA_READER)
    tsh_kafka__reader_serve(kafka);
  tell(kafka);
}

/* Blocking calls. The handle outlives them: its destroy waits, so on the thread
 * pool `owner` is what may be used. */

static int work_run(tsh_work *work) {
  kafka_req *req = work->op.user;
  tsh_kafka *kafka = req->owner;
  int status = req->run(req, &work->op.err);
  pthread_mutex_lock(&kafka->lock);
  if (--kafka->blocking == 0)
    pthread_cond_signal(&kafka->idle);
  pthread_mutex_unlock(&kafka->lock);
  return status;
}

static void work_done(tsh_op *op) {
  kafka_req *req = op->user;
  tsh_kafka *kafka = req->kafka;
  req->pending--;
  req->working = false;
  if (req->finished) {
    tsh_kafka__forget(req);
    return;
  }
  int status = op->status;
  req->pub.op.err = op->err;
  if (!status && req->then)
    status = req->then(req, &req->pub.op.err);
  advance(req, status);
  tell(kafka);
}

int tsh_kafka__block(kafka_req *req, int (*run)(kafka_req *, tsh_err *),
                     int (*then)(kafka_req *, tsh_err *)) {
  pthread_mutex_lock(&req->owner->lock);
  req->owner->blocking++;
  pthread_mutex_unlock(&req->owner->lock);
  req->run = run;
  req->then = then;
  req->pending++;
  req->working = true;
  memset(&req->work, 0, sizeof req->work);
  req->work.run = work_run;
  req->work.op.done = work_done;
  req->work.op.user = req;
  tsh_work_start(req->kafka->loop, &req->work);
  return KAFKA_MORE;
}

/* Starting. */

static kafka_req *new_req(tsh_kafka *kafka,
                          const tsh_kafka_primitive *primitive, tsh_pool *pool,
                          const tsh_data *args) {
  kafka_req *req = calloc(1, sizeof *req);
  if (!req)
    return NULL;
  req->pub.op.cancel = req_cancel;
  req->pub.op.free = req_free;
  req->kafka = req->owner = kafka;
  req->primitive = primitive;
  req->pool = pool;
  req->args = args;
  req->deadline = tsh_loop_now(kafka->loop) + (uint64_t)kafka->timeout_ms;
  req->next = kafka->reqs;
  kafka->reqs = req;
  req->all_next = kafka->all;
  kafka->all = req;
  return req;
}

/* Whether the handle may send it, whatever a script says. */
static bool may_send(const tsh_kafka *kafka,
                     const tsh_kafka_primitive *primitive,
                     const tsh_data *args) {
  if (primitive->class == READS || kafka->mode == TSH_KAFKA_MAY_WRITE)
    return true;
  return kafka->mode == TSH_KAFKA_VALIDATES && primitive->class == VALIDATES &&
         tsh_data_flag(tsh_data_at(args, 2), "validate_only", false);
}

static int refuse(const tsh_kafka *kafka, const tsh_kafka_primitive *primitive,
                  tsh_pool *pool, const tsh_data *args, tsh_err *err) {
  assert(kafka->role == primitive->role);
  if (!may_send(kafka, primitive, args))
    return tsh_err_set(err, TSH_READ_ONLY, "kafka", 0,
                       "%s writes, and this client only reads",
                       primitive->name);
  if (tsh_pool_failed(pool))
    return tsh_err_set(err, TSH_NO_MEMORY, "kafka", 0, "no memory for a call");
  return 0;
}

int tsh_kafka_call(tsh_kafka *kafka, const tsh_kafka_primitive *primitive,
                   tsh_pool *pool, const tsh_data *args, tsh_kafka_req **out,
                   tsh_err *err) {
  int status = refuse(kafka, primitive, pool, args, err);
  kafka_req *req = status ? NULL : new_req(kafka, primitive, pool, args);
  if (!req) {
    tsh_pool_free(pool);
    return status ? status
                  : tsh_err_set(err, TSH_NO_MEMORY, "kafka", 0, "no memory");
  }
  status = start(req);
  if (status < 0) {
    if (err)
      *err = req->pub.op.err;
    unlink_req(req);
    req_free(&req->pub.op);
    return status;
  }
  if (status == 0) {
    tsh_kafka__finish(req, 0);
    tsh_bell_ring(kafka->bell);
  }
  *out = &req->pub;
  return 0;
}

/* The handle goes: nobody polls the queue any more, so what librdkafka still
 * has to say comes no more. Only work on the thread pool still ends. */
void tsh_kafka__end_all(tsh_kafka *kafka) {
  while (kafka->reqs)
    tsh_kafka__finish(kafka->reqs,
                      tsh_err_set(&kafka->reqs->pub.op.err, TSH_CLOSED, "kafka",
                                  0, "the handle was closed"));
  for (kafka_req *req = kafka->all, *next; req; req = next) {
    next = req->all_next;
    req->kafka = NULL;
    req->pending = req->working;
    tsh_kafka__forget(req);
  }
  kafka->all = NULL;
  tell(kafka);
}
