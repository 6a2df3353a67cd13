/* TLS on a connection: OpenSSL between the socket and the requests.
 *
 * OpenSSL reads from `in`, which libuv fills, and writes to `out`, which goes
 * to the socket in large pieces; both are a BIO of our own, so nothing is
 * copied twice and no call blocks. A request's bytes are enciphered straight
 * from the caller's memory, a reply's are deciphered straight into its body. */
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "conn_int.h"
#include "login_int.h"
#include "tranship/buf.h"

enum {
  RECORD = 16 << 10, /* bytes in a record of TLS, at most */
  IN_BYTES = 64 << 10,
  OUT_BYTES = 64 << 10, /* enciphered ahead of the socket, about */
  OUT_LIMIT = 1 << 20
};

struct tsh_tls {
  SSL *ssl;
  bool opened;  /* hands are shaken */
  bool asked;   /* for a certificate of ours */
  bool stopped; /* nothing is sent or taken any more */
  uint8_t *in;
  size_t in_at, in_size;
  tsh_buf out, writing; /* being filled; lent to libuv */
  uv_write_t req;
  bool busy;       /* libuv has `writing` */
  flight *sealing; /* the request being enciphered ... */
  unsigned buf;    /* ... from here on */
  size_t at;
  uint8_t joined[RECORD]; /* the small pieces of a request, for one record */
};

/* --- the BIO -------------------------------------------------------------- */

static int bio_read(BIO *bio, char *bytes, int size) {
  tsh_tls *tls = BIO_get_data(bio);
  size_t left = tls->in_size - tls->in_at;
  size_t n = left < (size_t)size ? left : (size_t)size;
  BIO_clear_retry_flags(bio);
  if (n == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  memcpy(bytes, tls->in + tls->in_at, n);
  tls->in_at += n;
  return (int)n;
}

static int bio_write(BIO *bio, const char *bytes, int size) {
  tsh_tls *tls = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  tsh_buf_add(&tls->out, bytes, (size_t)size);
  return tls->out.failed ? -1 : size;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer) {
  (void)bio;
  (void)number;
  (void)pointer;
  return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

static void make_method(void) {
  method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "tranship");
  if (!method)
    return;
  BIO_meth_set_read(method, bio_read);
  BIO_meth_set_write(method, bio_write);
  BIO_meth_set_ctrl(method, bio_ctrl);
}

static BIO *new_bio(tsh_tls *tls) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make_method);
  BIO *bio = method ? BIO_new(method) : NULL;
  if (bio) {
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
  }
  return bio;
}

/* --- to the socket -------------------------------------------------------- */

static void fail(tsh_conn *conn) {
  char words[300];
  tsh_kind kind = tsh_tls__explain(conn, conn->tls->ssl, conn->tls->opened,
                                   words, sizeof words);
  tsh_conn__fail(conn, kind, 0, "%s", words);
}

static void on_written(uv_write_t *req, int status) {
  tsh_conn *conn = req->data;
  tsh_tls *tls = conn->tls;
  tls->busy = false;
  tls->writing.length = 0;
  if (status < 0 && !tls->stopped)
    tsh_conn__fail(conn, TSH_UNAVAILABLE, -status, "%s", uv_strerror(status));
  else
    tsh_tls__pump(conn);
}

/* What the socket does not take at once is lent to libuv. */
static void flush(tsh_conn *conn) {
  tsh_tls *tls = conn->tls;
  if (tls->busy || tls->out.length == 0)
    return;
  uv_stream_t *stream = (uv_stream_t *)&conn->tcp;
  uv_buf_t buf = uv_buf_init(tls->out.data, (unsigned)tls->out.length);
  int n = uv_try_write(stream, &buf, 1);
  if (n < 0 && n != UV_EAGAIN) {
    tsh_conn__fail_soon(conn, n);
    return;
  }
  tsh_buf_consume(&tls->out, n < 0 ? 0 : (size_t)n);
  if (tls->out.length == 0)
    return;
  tsh_buf lent = tls->out;
  tls->out = tls->writing;
  tls->writing = lent;
  buf = uv_buf_init(lent.data, (unsigned)lent.length);
  tls->req.data = conn;
  int status = uv_write(&tls->req, stream, &buf, 1, on_written);
  tls->busy = status == 0;
  if (status < 0)
    tsh_conn__fail_soon(conn, status);
}

/* --- requests ------------------------------------------------------------- */

/* The next bytes for a record: from one piece of the request if it is large
 * enough or the last, else joined from several. */
static uv_buf_t next_bytes(tsh_tls *tls) {
  const flight *f = tls->sealing;
  size_t size = 0;
  uv_buf_t first = f->bufs[tls->buf];
  first.base += tls->at;
  first.len -= tls->at;
  if (first.len >= RECORD || tls->buf + 1 == f->count)
    return first;
  for (unsigned i = tls->buf; i < f->count && size < RECORD; i++) {
    size_t from = i == tls->buf ? tls->at : 0;
    size_t n = f->bufs[i].len - from;
    n = n < RECORD - size ? n : RECORD - size;
    memcpy(tls->joined + size, f->bufs[i].base + from, n);
    size += n;
  }
  return uv_buf_init((char *)tls->joined, (unsigned)size);
}

static void advance(tsh_tls *tls, size_t n) {
  const flight *f = tls->sealing;
  tls->at += n;
  while (tls->buf < f->count && tls->at >= f->bufs[tls->buf].len)
    tls->at -= f->bufs[tls->buf++].len;
  if (tls->buf == f->count)
    tls->sealing = NULL;
}

/* Enciphers one record; false when there is nothing to, or no room. */
static bool seal(tsh_conn *conn) {
  tsh_tls *tls = conn->tls;
  if (tls->out.length >= OUT_BYTES)
    return false;
  if (!tls->sealing) {
    tls->sealing = tsh_conn__next(conn);
    tls->buf = 0;
    tls->at = 0;
  }
  if (!tls->sealing)
    return false;
  uv_buf_t bytes = next_bytes(tls);
  ERR_clear_error();
  int n = SSL_write(tls->ssl, bytes.base,
                    (int)(bytes.len < RECORD ? bytes.len : RECORD));
  if (tls->sealing->ours)
    OPENSSL_cleanse(tls->joined, sizeof tls->joined);
  if (n <= 0) {
    tsh_conn__fail_soon(conn, UV_EPROTO);
    return false;
  }
  advance(tls, (size_t)n);
  return true;
}

void tsh_tls__pump(tsh_conn *conn) {
  tsh_tls *tls = conn->tls;
  if (!tls->opened || tls->stopped)
    return;
  do {
    while (seal(conn))
      continue;
    flush(conn);
  } while (!tls->busy && !conn->late_status && tls->sealing);
}

bool tsh_tls__has_taken(const tsh_conn *conn, const flight *f) {
  return conn->tls->sealing != f;
}

size_t tsh_tls__unsent(const tsh_conn *conn) {
  const tsh_tls *tls = conn->tls;
  size_t size = tls->out.length;
  for (unsigned i = tls->buf; tls->sealing && i < tls->sealing->count; i++)
    size += tls->sealing->bufs[i].len;
  return tls->sealing ? size - tls->at : size;
}

/* --- replies -------------------------------------------------------------- */

static bool is_alive(const tsh_conn *conn) {
  return !conn->tls->stopped && conn->state != CONN_FAILED;
}

static void shake_hands(tsh_conn *conn) {
  tsh_tls *tls = conn->tls;
  ERR_clear_error();
  int done = SSL_do_handshake(tls->ssl);
  if (done == 1 || SSL_get_error(tls->ssl, done) == SSL_ERROR_WANT_READ) {
    flush(conn);
    tls->opened = done == 1;
    if (tls->opened)
      tsh_conn__secured(conn);
    return;
  }
  char words[300]; /* before the alert of our own hides the reason */
  tsh_kind kind = tsh_tls__explain(conn, tls->ssl, false, words, sizeof words);
  flush(conn);
  tsh_conn__fail(conn, kind, 0, "%s", words);
}

static void take_replies(tsh_conn *conn) {
  tsh_tls *tls = conn->tls;
  while (is_alive(conn)) {
    uv_buf_t room = tsh_conn__room(conn);
    ERR_clear_error();
    int n = SSL_read(tls->ssl, room.base, (int)room.len);
    if (n > 0) {
      tsh_conn__took(conn, (size_t)n);
      continue;
    }
    int why = SSL_get_error(tls->ssl, n);
    if (why == SSL_ERROR_ZERO_RETURN)
      tsh_conn__read_failed(conn, UV_EOF);
    else if (why != SSL_ERROR_WANT_READ)
      fail(conn);
    break;
  }
  if (is_alive(conn))
    flush(conn); /* OpenSSL may have answered something itself */
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  tsh_conn *conn = handle->data;
  (void)suggested;
  *buf = uv_buf_init((char *)conn->tls->in, IN_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  tsh_conn *conn = stream->data;
  tsh_tls *tls = conn->tls;
  (void)buf;
  if (n < 0) {
    tsh_conn__read_failed(conn, (int)n);
    return;
  }
  tls->in_at = 0;
  tls->in_size = (size_t)n; /* the last ones were taken: OpenSSL takes all */
  if (!tls->opened)
    shake_hands(conn);
  if (tls->opened && is_alive(conn))
    take_replies(conn);
}

/* --- life ----------------------------------------------------------------- */

/* Addresses are checked against addresses in the certificate, and are no
 * names to ask for. */
static int name_peer(SSL *ssl, const char *host, bool any_host) {
  struct in6_addr address;
  bool numeric = uv_inet_pton(AF_INET, host, &address) == 0 ||
                 uv_inet_pton(AF_INET6, host, &address) == 0;
  if (!numeric && SSL_set_tlsext_host_name(ssl, host) != 1)
    return -1;
  if (any_host)
    return 0;
  if (numeric)
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1 ? 0
                                                                         : -1;
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return SSL_set1_host(ssl, host) == 1 ? 0 : -1;
}

static int note_asked(SSL *ssl, void *user) {
  (void)ssl;
  ((tsh_tls *)user)->asked = true;
  return 1;
}

static int prepare(tsh_tls *tls, const tsh_conn *conn, const tsh_creds *creds) {
  tls->in = malloc(IN_BYTES);
  tls->ssl = SSL_new(creds->tls);
  BIO *bio = new_bio(tls);
  if (tls->ssl && bio)
    SSL_set_bio(tls->ssl, bio, bio);
  else
    BIO_free(bio);
  if (!tls->in || !tls->ssl || !bio ||
      name_peer(tls->ssl, conn->options.host, creds->any_host) != 0)
    return -1;
  SSL_set_cert_cb(tls->ssl, note_asked, tls);
  SSL_set_connect_state(tls->ssl);
  return 0;
}

int tsh_tls__open(tsh_conn *conn, tsh_err *err) {
  tsh_creds *creds = tsh_login__creds(conn->options.login);
  int status = 0;
  if (creds->tls) {
    tsh_tls *tls = conn->tls = calloc(1, sizeof *tls);
    if (tls) {
      tsh_buf_init(&tls->out, OUT_LIMIT);
      tsh_buf_init(&tls->writing, OUT_LIMIT);
    }
    if (!tls || prepare(tls, conn, creds) != 0)
      status = tsh_err_set(err, TSH_NO_MEMORY, "wire", 0, "no memory for TLS");
  }
  tsh_creds__release(creds);
  ERR_clear_error();
  return status;
}

void tsh_tls__start(tsh_conn *conn) {
  int status = uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
  if (status < 0)
    tsh_conn__fail_soon(conn, status);
  else
    shake_hands(conn);
}

/* The peer is told that nothing more comes, if that needs no waiting. */
void tsh_tls__stop(tsh_conn *conn) {
  tsh_tls *tls = conn->tls;
  if (!tls || tls->stopped)
    return;
  tls->stopped = true;
  tls->sealing = NULL;
  if (!tls->opened || tls->busy || !conn->has_socket)
    return;
  ERR_clear_error();
  SSL_shutdown(tls->ssl);
  uv_buf_t bye = uv_buf_init(tls->out.data, (unsigned)tls->out.length);
  if (tls->out.length > 0)
    uv_try_write((uv_stream_t *)&conn->tcp, &bye, 1);
  ERR_clear_error();
}

bool tsh_tls__is_asked(const tsh_conn *conn) { return conn->tls->asked; }

SSL *tsh_tls__opened(const tsh_conn *conn) {
  return conn->tls && conn->tls->opened ? conn->tls->ssl : NULL;
}

void tsh_tls__free(tsh_tls *tls) {
  if (!tls)
    return;
  SSL_free(tls->ssl);
  tsh_buf_fini(&tls->out);
  tsh_buf_fini(&tls->writing);
  free(tls->in);
  free(tls);
}
