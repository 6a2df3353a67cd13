/* The brokers that flows share. A link is made by the first flow that joins
 * it, opens each of its connections on first use and again after a failure,
 * and is swept some time after the last flow has left: not at once, because
 * one of its callbacks may be what made the flow leave. */
#include <stdlib.h>
#include <string.h>

#include "mirror_int.h"

/* --- connections --- */

/* Closing answers what is in flight, and the answered may look here. */
void tsh_mirror__shut(tsh_conn **kept) {
  tsh_conn *closing = *kept;
  *kept = NULL;
  if (closing != NULL)
    tsh_conn_close(closing);
}

/* `user` is where the connection is kept. */
static void failed(void *user, const tsh_err *err) {
  (void)err; /* the requests in flight were told */
  tsh_mirror__shut(user);
}

static tsh_conn *open_conn(tsh_mirror *mirror, tsh_conn **conn,
                           tsh_conn_options options, tsh_err *err) {
  if (*conn != NULL && tsh_conn_failed(*conn))
    tsh_mirror__shut(conn);
  options.client_id = "tranship-mirror";
  options.timeout_ms = mirror->timeout_ms;
  options.failed = failed;
  options.user = conn;
  options.meter = &mirror->shared->meter;
  if (*conn == NULL)
    *conn = tsh_conn_open(mirror->loop, &options, err);
  return *conn;
}

tsh_conn *tsh_mirror__lane_conn(lane *lane, tsh_err *err) {
  const source *from = lane->source;
  return open_conn(from->mirror, &lane->conn,
                   (tsh_conn_options){.host = from->host,
                                      .port = from->port,
                                      .login = from->login,
                                      .read_only = true},
                   err);
}

tsh_conn *tsh_mirror__sender_conn(sender *sender, tsh_err *err) {
  const target *to = sender->target;
  return open_conn(to->mirror, &sender->conn,
                   (tsh_conn_options){
                       .host = to->host, .port = to->port, .login = to->login},
                   err);
}

tsh_conn *tsh_mirror__conn(tsh_mirror *mirror, tsh_conn **kept,
                           const tsh_conn_options *to, tsh_err *err) {
  return open_conn(mirror, kept, *to, err);
}

/* --- sources --- */

source *tsh_mirror__source_join(tsh_mirror *mirror, const tsh_mirror_side *side,
                                int16_t version, bool committed) {
  for (source *at = mirror->sources; at != NULL; at = at->next)
    if (at->port == side->port && at->version == version &&
        at->committed == committed && at->login == side->login &&
        strcmp(at->host, side->host) == 0) {
      at->flows++;
      return at;
    }
  source *made = calloc(1, sizeof *made);
  if (made == NULL || (made->host = strdup(side->host)) == NULL) {
    free(made);
    return NULL;
  }
  made->mirror = mirror;
  made->port = side->port;
  made->login = tsh_login_keep(side->login);
  made->version = version;
  made->committed = committed;
  made->flows = 1;
  for (int i = 0; i < LANES; i++)
    made->lanes[i].source = made;
  TAILQ_INIT(&made->behind);
  TAILQ_INIT(&made->idle);
  tsh_mirror__watch_init(made);
  made->next = mirror->sources;
  mirror->sources = made;
  return made;
}

void tsh_mirror__source_leave(source *source) {
  if (--source->flows == 0)
    tsh_bell_ring(source->mirror->bell);
}

static void shut_source(source *source) {
  for (int i = 0; i < LANES; i++)
    tsh_mirror__shut(&source->lanes[i].conn);
  tsh_mirror__shut(&source->watch.lane.conn);
}

static void sweep_sources(tsh_mirror *mirror) {
  source **at = &mirror->sources;
  while (*at != NULL) {
    source *unused = *at;
    if (unused->flows > 0) {
      at = &unused->next;
      continue;
    }
    shut_source(unused);
    tsh_mirror__watch_fini(unused);
    *at = unused->next;
    tsh_login_release(unused->login);
    free(unused->host);
    free(unused);
  }
}

/* --- targets --- */

/* A request of several flows' batches costs a broker little more than one of a
 * single batch, so a few flows share a connection before another is opened. */
enum { SHARED_BY = 8 };

static target *find_target(tsh_mirror *mirror, const tsh_mirror_side *side) {
  for (target *at = mirror->targets; at != NULL; at = at->next)
    if (at->port == side->port && at->login == side->login &&
        strcmp(at->host, side->host) == 0)
      return at;
  target *made = calloc(1, sizeof *made);
  if (made == NULL || (made->host = strdup(side->host)) == NULL) {
    free(made);
    return NULL;
  }
  made->mirror = mirror;
  made->port = side->port;
  made->login = tsh_login_keep(side->login);
  for (int i = 0; i < SENDERS; i++) {
    made->senders[i].target = made;
    TAILQ_INIT(&made->senders[i].ready);
  }
  made->next = mirror->targets;
  mirror->targets = made;
  return made;
}

sender *tsh_mirror__sender_join(tsh_mirror *mirror,
                                const tsh_mirror_side *side) {
  target *to = find_target(mirror, side);
  if (to == NULL)
    return NULL;
  sender *joined = to->senders;
  for (int i = 1; i < SENDERS && joined->flows >= SHARED_BY; i++)
    if (to->senders[i].flows < joined->flows)
      joined = &to->senders[i];
  to->flows++;
  joined->flows++;
  return joined;
}

void tsh_mirror__sender_leave(sender *sender) {
  sender->flows--;
  if (--sender->target->flows == 0)
    tsh_bell_ring(sender->target->mirror->bell);
}

static void shut_target(target *target) {
  for (int i = 0; i < SENDERS; i++)
    tsh_mirror__shut(&target->senders[i].conn);
}

static void sweep_targets(tsh_mirror *mirror) {
  target **at = &mirror->targets;
  while (*at != NULL) {
    target *unused = *at;
    if (unused->flows > 0) {
      at = &unused->next;
      continue;
    }
    shut_target(unused);
    *at = unused->next;
    tsh_login_release(unused->login);
    free(unused->host);
    free(unused);
  }
}

/* --- both --- */

void tsh_mirror__sweep_links(tsh_mirror *mirror) {
  sweep_sources(mirror);
  sweep_targets(mirror);
  tsh_mirror__sweep_asides(mirror);
}

void tsh_mirror__shut_links(tsh_mirror *mirror) {
  tsh_mirror__shut_asides(mirror);
  for (target *at = mirror->targets; at != NULL; at = at->next)
    shut_target(at);
  for (source *at = mirror->sources; at != NULL; at = at->next)
    shut_source(at);
}
