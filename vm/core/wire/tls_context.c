/* From PEM texts to what TLS connections are made from. Nothing is read from
 * files but, where no authorities are given, the system's own. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "login_int.h"

static int broken(tsh_err *err, const char *what) {
  unsigned long code = ERR_peek_last_error();
  const char *reason = code ? ERR_reason_error_string(code) : NULL;
  tsh_err_set(err, TSH_INVALID, "wire", 0, "%s%s%s", what, reason ? ": " : "",
              reason ? reason : "");
  ERR_clear_error();
  return TSH_INVALID;
}

/* Reads certificates to the end of the text; their number, or -1 where one is
 * broken. */
static int each_certificate(const char *pem, int (*take)(void *user, X509 *one),
                            void *user) {
  BIO *bio = BIO_new_mem_buf(pem, -1);
  int count = 0;
  X509 *one;
  ERR_clear_error();
  while (bio && (one = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
    int taken = take(user, one);
    X509_free(one);
    if (!taken) {
      BIO_free(bio);
      return -1;
    }
    count++;
  }
  BIO_free(bio);
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
    return -1;
  ERR_clear_error(); /* the usual end */
  return count;
}

static int trust(void *store, X509 *one) {
  return X509_STORE_add_cert(store, one);
}

static int use_authorities(SSL_CTX *ctx, const char *ca, tsh_err *err) {
  if (!ca)
    return SSL_CTX_set_default_verify_paths(ctx) == 1
               ? 0
               : broken(err, "the system's certificates cannot be read");
  int count = each_certificate(ca, trust, SSL_CTX_get_cert_store(ctx));
  if (count > 0)
    return 0;
  return broken(err, count == 0 ? "ca holds no certificate in PEM"
                                : "ca holds a certificate that is broken");
}

/* The first is ours, the others show who vouches for it. */
static int present(void *user, X509 *one) {
  SSL_CTX *ctx = user;
  return SSL_CTX_get0_certificate(ctx) ? SSL_CTX_add1_chain_cert(ctx, one)
                                       : SSL_CTX_use_certificate(ctx, one);
}

static int give_password(char *room, int size, int writing, void *user) {
  size_t length = user ? strlen(user) : 0;
  (void)writing;
  if (!user || length > (size_t)size)
    return -1;
  memcpy(room, user, length);
  return (int)length;
}

static int use_key(SSL_CTX *ctx, const tsh_login_spec *spec, tsh_err *err) {
  BIO *bio = BIO_new_mem_buf(spec->key, -1);
  ERR_clear_error();
  EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_password,
                                                (void *)spec->key_password)
                      : NULL;
  BIO_free(bio);
  if (!key)
    return broken(err, spec->key_password
                           ? "key is no private key in PEM, or key_password "
                             "does not open it"
                           : "key is no private key in PEM, or it wants a "
                             "key_password");
  int fits = SSL_CTX_use_PrivateKey(ctx, key);
  EVP_PKEY_free(key);
  if (fits != 1 || SSL_CTX_check_private_key(ctx) != 1)
    return broken(err, "key does not belong to cert");
  return 0;
}

static int use_certificate(SSL_CTX *ctx, const tsh_login_spec *spec,
                           tsh_err *err) {
  int count = each_certificate(spec->cert, present, ctx);
  if (count <= 0)
    return broken(err, count == 0 ? "cert holds no certificate in PEM"
                                  : "cert holds a certificate that is broken");
  return use_key(ctx, spec, err);
}

int tsh_tls__context(SSL_CTX **out, const tsh_login_spec *spec, tsh_err *err) {
  SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
  if (!ctx)
    return tsh_err_set(err, TSH_NO_MEMORY, "wire", 0, "no memory for TLS");
  SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_options(ctx,
                      SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  int status = use_authorities(ctx, spec->ca, err);
  if (status == 0 && spec->cert)
    status = use_certificate(ctx, spec, err);
  if (status != 0) {
    SSL_CTX_free(ctx);
    return status;
  }
  *out = ctx;
  return 0;
}
