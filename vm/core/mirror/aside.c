/* Small requests to target brokers, on connections of their own, so that they
 * never stand behind a batch: to the coordinators of transactions, and to
 * leaders, whose log ends say that markers have landed.
 *
 * A coordinator answers EndTxn before the marker is written, so what follows
 * the marker must wait for the log to move. All flows that wait for one broker
 * ask it together, again and again, with a pause while nothing moves. */
#include <stdlib.h>
#include <string.h>

#include "mirror_int.h"

enum {
  LANES_ASIDE = 4, /* a coordinator serves each one request at a time */
  LIST_OFFSETS_VERSION = 4,
  PAUSE_MS = 1
};

struct aside {
  aside *next;
  tsh_mirror *mirror;
  char *host;
  uint16_t port;
  tsh_login *login; /* or NULL */
  size_t users;
  tsh_conn *lanes[LANES_ASIDE];
  tsh_conn *eye;
  struct flow_list watching;
  struct iovec body; /* of the question in flight */
  bool asking;
  tsh_timer *pause;
};

/* --- the link --- */

aside *tsh_mirror__aside_join(tsh_mirror *mirror, const char *host,
                              uint16_t port, tsh_login *login) {
  for (aside *at = mirror->asides; at != NULL; at = at->next)
    if (at->port == port && at->login == login && strcmp(at->host, host) == 0) {
      at->users++;
      return at;
    }
  aside *made = calloc(1, sizeof *made);
  if (made == NULL || (made->host = strdup(host)) == NULL) {
    free(made);
    return NULL;
  }
  made->mirror = mirror;
  made->port = port;
  made->login = tsh_login_keep(login);
  made->users = 1;
  TAILQ_INIT(&made->watching);
  made->next = mirror->asides;
  mirror->asides = made;
  return made;
}

void tsh_mirror__aside_leave(aside *aside) {
  if (--aside->users == 0)
    tsh_bell_ring(aside->mirror->bell);
}

static tsh_conn *open_at(aside *aside, tsh_conn **kept, tsh_err *err) {
  tsh_conn_options to = {
      .host = aside->host, .port = aside->port, .login = aside->login};
  return tsh_mirror__conn(aside->mirror, kept, &to, err);
}

int tsh_mirror__aside_send(aside *aside, size_t lane, const tsh_request *req,
                           tsh_err *err) {
  tsh_conn *conn = open_at(aside, &aside->lanes[lane % LANES_ASIDE], err);
  return conn == NULL ? err->kind : tsh_conn_send(conn, req, err);
}

static void shut(aside *aside) {
  for (int i = 0; i < LANES_ASIDE; i++)
    tsh_mirror__shut(&aside->lanes[i]);
  tsh_mirror__shut(&aside->eye);
  if (aside->pause != NULL)
    tsh_timer_stop(aside->pause);
  aside->pause = NULL;
}

void tsh_mirror__sweep_asides(tsh_mirror *mirror) {
  aside **at = &mirror->asides;
  while (*at != NULL) {
    aside *unused = *at;
    if (unused->users > 0) {
      at = &unused->next;
      continue;
    }
    shut(unused);
    *at = unused->next;
    tsh_login_release(unused->login);
    free(unused->host);
    free(unused);
  }
}

void tsh_mirror__shut_asides(tsh_mirror *mirror) {
  for (aside *at = mirror->asides; at != NULL; at = at->next)
    shut(at);
}

/* --- watching log ends --- */

static void ask(aside *aside);

static void ended(aside *aside, flow *flow, int64_t log_end,
                  const tsh_err *why) {
  TAILQ_REMOVE(&aside->watching, flow, awaiting);
  flow->awaits = false;
  tsh_mirror__ends_landed(flow, log_end, why);
}

static void fail(aside *aside, const tsh_err *why) {
  for (flow *flow; (flow = TAILQ_FIRST(&aside->watching)) != NULL;)
    ended(aside, flow, -1, why);
}

/* Markers that do not come: their coordinator may be in trouble. */
static void tire(aside *aside) {
  uint64_t now = tsh_loop_now(aside->mirror->loop);
  tsh_err err;
  flow *next, *at = TAILQ_FIRST(&aside->watching);
  for (; at != NULL; at = next) {
    next = TAILQ_NEXT(at, awaiting);
    if (at->await_until > now)
      continue;
    tsh_err_set(&err, TSH_TIMEOUT, "mirror", 0,
                "the marker of a transaction on %s does not come", at->spec.id);
    ended(aside, at, -1, &err);
  }
}

static flow *find(aside *aside, const tsh_log_end *found) {
  flow *at;
  TAILQ_FOREACH(at, &aside->watching, awaiting) {
    const tsh_mirror_side *to = &at->spec.target;
    if (to->partition == found->partition &&
        strlen(to->topic) == found->topic.size &&
        memcmp(to->topic, found->topic.data, found->topic.size) == 0)
      return at;
  }
  return NULL;
}

static bool look(aside *aside, const tsh_log_end *found) {
  flow *flow = find(aside, found);
  tsh_err err;
  if (flow == NULL || (found->error == 0 && found->offset < flow->awaited))
    return false;
  if (found->error != 0)
    tsh_mirror__refusal(&err, flow, found->error, "log end of");
  ended(aside, flow, found->error == 0 ? found->offset : -1, &err);
  return true;
}

static void rest(void *user) {
  aside *aside = user;
  tsh_timer_stop(aside->pause);
  aside->pause = NULL;
  ask(aside);
}

static void answered(void *user, const tsh_reply *reply) {
  aside *aside = user;
  tsh_mirror *mirror = aside->mirror;
  tsh_topic_walk iter;
  tsh_log_end found;
  tsh_err err;
  bool moved = false;
  aside->asking = false;
  free(aside->body.iov_base);
  if (reply->status != 0) {
    fail(aside, reply->err);
    return;
  }
  int status = tsh_log_ends_open(&iter, reply->data, reply->size, &err);
  while (status == 0 &&
         (status = tsh_log_ends_next(&iter, &found, &err)) == 1) {
    moved |= look(aside, &found);
    status = 0;
  }
  if (status < 0) {
    fail(aside, &err);
    return;
  }
  tire(aside);
  if (moved)
    ask(aside);
  else if (aside->pause == NULL && !mirror->closing)
    aside->pause = tsh_timer_start(mirror->loop, PAUSE_MS, rest, aside);
  tsh_mirror__pump_senders(mirror);
  tsh_mirror__pump_sources(mirror);
}

static int send(aside *aside, tsh_err *err) {
  size_t count = 0;
  flow *at;
  TAILQ_FOREACH(at, &aside->watching, awaiting)
  count++;
  tsh_log_end *wants = calloc(count, sizeof *wants);
  if (wants == NULL)
    return tsh_err_set(err, TSH_NO_MEMORY, "mirror", 0, "out of memory");
  count = 0;
  TAILQ_FOREACH(at, &aside->watching, awaiting) {
    const tsh_mirror_side *to = &at->spec.target;
    wants[count++] = (tsh_log_end){.topic = {to->topic, strlen(to->topic)},
                                   .partition = to->partition};
  }
  int status = tsh_log_ends_encode(wants, count, &aside->body, err);
  free(wants);
  tsh_conn *conn = NULL;
  if (status == 0)
    conn = open_at(aside, &aside->eye, err);
  tsh_request req = {.api_key = TSH_API_LIST_OFFSETS,
                     .version = LIST_OFFSETS_VERSION,
                     .parts = &aside->body,
                     .count = 1,
                     .replied = answered,
                     .user = aside};
  if (status == 0)
    status = conn == NULL ? err->kind : tsh_conn_send(conn, &req, err);
  if (status != 0)
    free(aside->body.iov_base);
  return status;
}

static void ask(aside *aside) {
  tsh_err err;
  if (aside->asking || aside->pause != NULL || aside->mirror->closing ||
      TAILQ_EMPTY(&aside->watching))
    return;
  aside->asking = true;
  if (send(aside, &err) != 0) {
    aside->asking = false;
    fail(aside, &err);
  }
}

void tsh_mirror__await_end(flow *flow) {
  TAILQ_INSERT_TAIL(&flow->leader->watching, flow, awaiting);
  flow->awaits = true;
  flow->await_until =
      tsh_loop_now(flow->mirror->loop) + flow->mirror->timeout_ms;
  ask(flow->leader);
}

void tsh_mirror__await_none(flow *flow) {
  if (flow->awaits)
    TAILQ_REMOVE(&flow->leader->watching, flow, awaiting);
  flow->awaits = false;
}
