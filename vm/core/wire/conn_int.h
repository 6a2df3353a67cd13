/* Inside of a connection: what its files share. conn.c sends and has the
 * life, conn_open.c gets to a socket, tls.c wraps it, sasl.c logs in,
 * conn_reply.c reads, conn_end.c ends. */
#ifndef TRANSHIP_WIRE_CONN_INT_H
#define TRANSHIP_WIRE_CONN_INT_H

#include <openssl/ssl.h>
#include <uv.h>

#include "tranship/wire.h"

typedef enum conn_state { CONN_OPENING, CONN_OPEN, CONN_FAILED } conn_state;

typedef struct tsh_tls tsh_tls;
typedef struct tsh_sasl tsh_sasl;

/* A request between send and reply. It is freed when it was answered and
 * libuv has handed its write back. */
typedef struct flight {
  struct flight *next;
  uv_write_t write;
  tsh_conn *conn;
  uint64_t deadline; /* loop time, ms */
  uint64_t end;      /* position behind its last byte in all bytes sent */
  void (*replied)(void *user, const tsh_reply *reply);
  void *user;
  int32_t correlation;
  int16_t api_key, version;
  size_t size;  /* bytes with header */
  bool ours;    /* of a login: goes before what waits */
  bool tagged;  /* the response header has tagged fields */
  bool writing; /* libuv holds `write` */
  bool answered;
  unsigned count;
  uv_buf_t bufs[]; /* request header first; its bytes follow the array */
} flight;

enum { REPLY_HEAD = 8 }; /* size and correlation id */

struct tsh_conn {
  uv_tcp_t tcp;
  uv_timer_t timer;
  uv_connect_t connecting;
  uv_getaddrinfo_t resolving;
  struct addrinfo *addresses, *address; /* all, and the one being tried */
  struct sockaddr_storage numeric;      /* where the host is no name */
  uv_loop_t *loop;
  conn_state state;
  bool closed;     /* by tsh_conn_close: to be freed with its last part */
  bool heard;      /* a reply has come */
  bool has_socket; /* tcp is initialised and not closing */
  bool has_lookup; /* the thread pool looks the host up */
  int parts;       /* handles and lookups that libuv still holds */
  int late_status; /* of libuv: to fail with from the timer, not in a call */
  tsh_err err;     /* why it failed */

  /* In order; those behind `last_out` wait for the connection, for a login
   * or for the end of a throttling. */
  flight *first, *last_out, *last;
  size_t in_flight; /* of the caller's */
  size_t waiting;   /* bytes of those that wait */
  uint64_t handed;  /* bytes given to the socket's queue */
  uint64_t wake;    /* when the timer fires; 0: it sleeps */
  bool grace;       /* a request was found overdue one turn ago */
  uint64_t open_deadline;
  uint64_t quiet_until; /* the broker throttles us until then; 0: it does not */
  int32_t correlation;

  uint8_t head[REPLY_HEAD];
  size_t got;    /* of head and body together */
  int low_water; /* bytes that wake us up */
  tsh_body *body;

  tsh_tls *tls;   /* NULL: plain text */
  tsh_sasl *sasl; /* NULL: no login by SASL */

  tsh_conn_options options;
  char *text; /* host and client id */
  size_t client_id_size;
};

/* conn_open.c: resolve, connect, then tsh_conn__connected. */
void tsh_conn__start(tsh_conn *conn);
void tsh_conn__connected(tsh_conn *conn); /* the socket is there */

/* conn.c */
void tsh_conn__secured(tsh_conn *conn); /* bytes can be exchanged */
void tsh_conn__ready(tsh_conn *conn);   /* requests can be sent */
/* Hands over what may go. */
void tsh_conn__pump(tsh_conn *conn);
/* The next request that may go, which counts as handed over; or NULL. */
flight *tsh_conn__next(tsh_conn *conn);
/* A request of the login's, of one part, ahead of all that waits. */
int tsh_conn__send_ours(tsh_conn *conn, const tsh_request *req);
void tsh_conn__free(tsh_conn *conn);

/* conn_reply.c: where the next bytes belong, and that they are there. */
uv_buf_t tsh_conn__room(tsh_conn *conn);
void tsh_conn__took(tsh_conn *conn, size_t n);
void tsh_conn__read_failed(tsh_conn *conn, int status); /* of libuv */
/* For uv_read_start, without TLS. */
void tsh_conn__alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
void tsh_conn__read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

/* tls.c */
int tsh_tls__open(tsh_conn *conn, tsh_err *err);
void tsh_tls__start(tsh_conn *conn); /* shakes hands, then secured */
void tsh_tls__pump(tsh_conn *conn);
/* Has the whole of the request been taken from its memory? */
bool tsh_tls__has_taken(const tsh_conn *conn, const flight *f);
size_t tsh_tls__unsent(const tsh_conn *conn);
void tsh_tls__stop(tsh_conn *conn); /* takes nothing from requests any more */
void tsh_tls__free(tsh_tls *tls);
SSL *tsh_tls__opened(const tsh_conn *conn); /* NULL: hands are not shaken */

/* tls_words.c: why OpenSSL fails, and whose fault that is. */
tsh_kind tsh_tls__explain(const tsh_conn *conn, SSL *ssl, bool opened,
                          char *words, size_t size);

/* A secured connection that ends before anything was answered: may our own
 * certificate be why? Adds words; true if it surely is. */
bool tsh_tls__is_asked(const tsh_conn *conn);
bool tsh_tls__blames_us(const tsh_conn *conn, SSL *ssl, char *words,
                        size_t size);

/* sasl.c */
int tsh_sasl__open(tsh_conn *conn, tsh_err *err);
void tsh_sasl__begin(tsh_conn *conn); /* then tsh_conn__ready, or a failure */
bool tsh_sasl__holds(const tsh_conn *conn); /* nothing else may be sent */
void tsh_sasl__look(tsh_conn *conn, uint64_t now); /* is it time again? */
void tsh_sasl__stop(tsh_conn *conn);
void tsh_sasl__free(tsh_sasl *sasl);

/* conn_end.c */
flight *tsh_conn__take_first(tsh_conn *conn);
void tsh_conn__answer(flight *f, const tsh_reply *reply);
void tsh_conn__answer_all(tsh_conn *conn, const tsh_err *err);
void tsh_conn__drop_flight(flight *f);    /* frees it when nobody holds it */
void tsh_conn__drop_part(tsh_conn *conn); /* may free the connection */
/* Nothing is read, written or timed any more. */
void tsh_conn__stop(tsh_conn *conn);
/* Stops, answers everything and tells; the first reason stands. */
void tsh_conn__fail(tsh_conn *conn, tsh_kind kind, int code, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));
void tsh_conn__fail_soon(tsh_conn *conn, int status); /* of libuv */
void tsh_conn__wake_at(tsh_conn *conn, uint64_t when);
void tsh_conn__throttle(tsh_conn *conn, uint32_t ms);

#endif
