/* Authorities and certificates for the tests of TLS, made in memory. */
#ifndef TRANSHIP_TEST_TLS_MAKE_H
#define TRANSHIP_TEST_TLS_MAKE_H

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

typedef struct made_cert {
  X509 *cert;
  EVP_PKEY *key;
  char *pem, *key_pem;
} made_cert;

static inline char *bio_text(BIO *bio) {
  char *data;
  long size = BIO_get_mem_data(bio, &data);
  char *text = strndup(data, (size_t)size);
  BIO_free(bio);
  return text;
}

static inline void add_extension(X509 *cert, int nid, const char *value) {
  X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
  X509_add_ext(cert, ext, -1);
  X509_EXTENSION_free(ext);
}

/* `ca` NULL: signed by itself. `names`: a subjectAltName, or NULL. The times
 * are seconds from now. */
static inline made_cert make_cert(const char *name, const made_cert *ca,
                                  const char *names, long from, long to) {
  static long serial = 1;
  made_cert made = {X509_new(), EVP_EC_gen("P-256"), NULL, NULL};
  X509_NAME *subject = X509_get_subject_name(made.cert);
  X509_set_version(made.cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.cert), serial++);
  X509_gmtime_adj(X509_getm_notBefore(made.cert), from);
  X509_gmtime_adj(X509_getm_notAfter(made.cert), to);
  X509_set_pubkey(made.cert, made.key);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             (const unsigned char *)name, -1, -1, 0);
  X509_set_issuer_name(made.cert,
                       ca ? X509_get_subject_name(ca->cert) : subject);
  if (!ca)
    add_extension(made.cert, NID_basic_constraints, "critical,CA:TRUE");
  if (names)
    add_extension(made.cert, NID_subject_alt_name, names);
  X509_sign(made.cert, ca ? ca->key : made.key, EVP_sha256());
  BIO *bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, made.cert);
  made.pem = bio_text(bio);
  bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PKCS8PrivateKey(bio, made.key, NULL, NULL, 0, NULL, NULL);
  made.key_pem = bio_text(bio);
  return made;
}

static inline void drop_cert(made_cert *made) {
  X509_free(made->cert);
  EVP_PKEY_free(made->key);
  free(made->pem);
  free(made->key_pem);
}

#endif
