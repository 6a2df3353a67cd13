/* Files and certificates, as kubeconfigs hold them. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kube_int.h"

int tsh_kube__read_file(const char *path, tsh_buf *out, tsh_err *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  char block[8192];
  ssize_t n = -1;

  if (fd >= 0)
    while ((n = read(fd, block, sizeof block)) > 0 || (n < 0 && errno == EINTR))
      if (n > 0)
        tsh_buf_add(out, block, (size_t)n);
  if (n < 0)
    tsh_err_errno(err, errno, "read %s", path);
  if (fd >= 0)
    close(fd);
  explicit_bzero(block, sizeof block);
  if (n < 0)
    return err != NULL ? err->kind : TSH_IO;
  if (out->failed)
    return tsh_err_set(err, TSH_LIMIT, "kube", 0, "%s is too large", path);
  return 0;
}

int tsh_kube__secret(tsh_secret **out, const char *bytes, size_t length,
                     tsh_err *err) {
  int rc = tsh_secret_new(out, length, err);

  if (rc != 0)
    return rc;
  memcpy(tsh_secret_bytes(*out), bytes, length);
  tsh_secret_publish(*out);
  return 0;
}

int tsh_kube__count_certificates(const char *pem, size_t length) {
  BIO *bio = BIO_new_mem_buf(pem, (int)length);
  X509 *cert;
  int count = 0;
  unsigned long why;

  while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
    X509_free(cert);
    count++;
  }
  why = ERR_peek_last_error();
  if (ERR_GET_REASON(why) != PEM_R_NO_START_LINE)
    count = 0;
  ERR_clear_error();
  BIO_free(bio);
  return count;
}

static BIO *bio_of(const tsh_secret *secret) {
  return BIO_new_mem_buf(tsh_secret_bytes((tsh_secret *)secret),
                         (int)tsh_secret_length(secret));
}

/* A key that asks for a passphrase has none to be given. */
static int no_passphrase(char *out, int size, int is_writing, void *user) {
  (void)out, (void)size, (void)is_writing, (void)user;
  return 0;
}

static int check_time(X509 *cert, const char *whose, tsh_err *err) {
  char when[64] = "";
  BIO *bio = BIO_new(BIO_s_mem());
  const ASN1_TIME *until = X509_get0_notAfter(cert);
  const ASN1_TIME *since = X509_get0_notBefore(cert);
  bool is_early = X509_cmp_current_time(since) > 0;
  bool is_late = X509_cmp_current_time(until) < 0;

  ASN1_TIME_print(bio, is_early ? since : until);
  BIO_read(bio, when, sizeof when - 1);
  BIO_free(bio);
  if (is_early)
    return tsh_err_set(err, TSH_AUTH, "kube", 0,
                       "%s: the client certificate is not valid before %s",
                       whose, when);
  if (is_late)
    return tsh_err_set(err, TSH_AUTH, "kube", 0,
                       "%s: the client certificate expired on %s", whose, when);
  return 0;
}

int tsh_kube__check_pair(const tsh_secret *cert, const tsh_secret *key,
                         const char *whose, tsh_err *err) {
  BIO *bio = bio_of(cert), *key_bio = bio_of(key);
  X509 *x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);
  EVP_PKEY *private =
      PEM_read_bio_PrivateKey(key_bio, NULL, no_passphrase, NULL);
  int rc;

  if (x509 == NULL)
    rc = tsh_err_set(err, TSH_INVALID, "kube", 0,
                     "%s: the client certificate is no PEM certificate", whose);
  else if (private == NULL)
    rc = tsh_err_set(err, TSH_INVALID, "kube", 0,
                     "%s: the client key is no PEM key without a passphrase",
                     whose);
  else if (X509_check_private_key(x509, private) != 1)
    rc = tsh_err_set(err, TSH_INVALID, "kube", 0,
                     "%s: the client key does not belong to the certificate",
                     whose);
  else
    rc = check_time(x509, whose, err);
  ERR_clear_error();
  X509_free(x509);
  EVP_PKEY_free(private);
  BIO_free(bio);
  BIO_free(key_bio);
  return rc;
}
