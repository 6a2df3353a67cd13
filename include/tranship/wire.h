/* Raw connections to a Kafka broker: pipelined requests, replies in order.
 *
 * A connection lives on one loop and is used on that loop's thread only; any
 * number of threads may each have a loop with connections of its own. It
 * never reconnects: a connection that failed is closed and a new one opened.
 * Nothing is copied on the way: requests are sent from the caller's memory,
 * and a reply is read straight into the buffer that the caller may keep. */
#ifndef TRANSHIP_WIRE_H
#define TRANSHIP_WIRE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "tranship/err.h"

typedef struct tsh_conn tsh_conn;
typedef struct tsh_body tsh_body; /* a reply's buffer, counted */
struct tsh_loop;
struct tsh_login;

/* What connections that share one add up, for other threads to read. */
typedef struct tsh_conn_meter {
  atomic_size_t open;
  atomic_uint_fast64_t throttled_ms; /* time that brokers let them wait */
} tsh_conn_meter;

typedef struct tsh_conn_options {
  const char *host;
  uint16_t port;
  struct tsh_login
      *login;            /* kept; NULL: plain text, and nobody in particular */
  const char *client_id; /* NULL: "tranship"; at most 255 bytes */
  bool read_only;        /* refuse requests of the write class */
  size_t socket_buffer;  /* bytes, 0: 1 MiB; the kernel may give less */
  size_t max_reply;      /* bytes, 0: 128 MiB; larger is a protocol error */
  uint64_t timeout_ms;   /* to connect, and default of requests; 0: 30 s */
  /* Told once when the connection fails by itself (not by close), after all
   * requests in flight were answered; may be NULL. */
  void (*failed)(void *user, const tsh_err *err);
  void *user;
  tsh_conn_meter *meter; /* outlives the connection; may be NULL */
} tsh_conn_options;

typedef struct tsh_reply {
  int status;         /* 0, or the kind of `err` and no data */
  const tsh_err *err; /* valid during the callback; NULL for status 0 */
  uint8_t *data;      /* after the response header; may be changed in place */
  size_t size;
  tsh_body *body; /* holds `data`; see tsh_body_keep */
} tsh_reply;

typedef struct tsh_request {
  int16_t api_key; /* must be in the table of messages (proto.h) ... */
  int16_t version; /* ... with this version */
  const struct iovec *parts; /* the body, without request header; the array is
                                copied, the bytes it points to are not: they
                                must not change or go before `replied` */
  int count;
  uint64_t timeout_ms; /* 0: the connection's */
  /* Called exactly once, on the loop's thread, never from inside send. */
  void (*replied)(void *user, const tsh_reply *reply);
  void *user;
} tsh_request;

/* Starts to resolve, connect and log in; requests may be sent at once and wait
 * for it. NULL and `err` only for values that cannot be meant or no memory; an
 * unreachable host fails the requests with TSH_UNAVAILABLE, a refused login or
 * a certificate that does not hold with TSH_AUTH. A session that the broker
 * limits is renewed in time, between requests. While the broker throttles the
 * connection, requests wait here and their time does not run. */
tsh_conn *tsh_conn_open(struct tsh_loop *loop, const tsh_conn_options *options,
                        tsh_err *err);

/* Sends behind what was sent before. Fails at once, without a callback, with
 * TSH_READ_ONLY (a writing message on a read-only connection), TSH_INVALID
 * (not in the table), TSH_NO_MEMORY, or TSH_UNAVAILABLE (connection failed
 * before). The reply's status is 0 or
 *   TSH_UNAVAILABLE  not connected, reset, ended by the broker
 *   TSH_AUTH         not let in, and why
 *   TSH_TIMEOUT      this request's time passed; the connection fails with it,
 *                    all others in flight are answered TSH_UNAVAILABLE
 *   TSH_PROTOCOL     bytes that are no reply to what was asked
 *   TSH_CLOSED       tsh_conn_close was called
 * After any status but 0 the request may or may not have been executed.
 * Produce with acks=0 has no reply and cannot be sent. */
int tsh_conn_send(tsh_conn *conn, const tsh_request *req, tsh_err *err);

bool tsh_conn_failed(const tsh_conn *conn);

/* The certificate that the broker has shown, and which holds. */
typedef struct tsh_peer {
  char subject[128], issuer[128];
  char hosts[128];    /* names and addresses that it is for, with commas */
  int64_t expires_ms; /* since 1970 */
} tsh_peer;

/* False without TLS, and until hands are shaken. */
bool tsh_conn_peer(const tsh_conn *conn, tsh_peer *out);
size_t tsh_conn_in_flight(const tsh_conn *conn); /* requests */
size_t tsh_conn_unsent(const tsh_conn *conn); /* bytes not yet in the socket */

/* Answers what is in flight with TSH_CLOSED before it returns; afterwards no
 * callback of this connection comes, none of its requests' memory is touched,
 * and `conn` is gone. May be called from inside any callback. */
void tsh_conn_close(tsh_conn *conn);

/* A reply's buffer may be kept beyond the callback, by any thread. */
tsh_body *tsh_body_keep(tsh_body *body);
void tsh_body_release(tsh_body *body); /* NULL is fine */

#endif
