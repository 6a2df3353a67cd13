/* What a login is made of: for the files that log in. */
#ifndef TRANSHIP_LOGIN_INT_H
#define TRANSHIP_LOGIN_INT_H

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <time.h>

#include "tranship/login.h"
#include "tranship/secret.h"

typedef enum sasl_mechanism {
  SASL_NONE,
  SASL_PLAIN,
  SASL_SCRAM_256,
  SASL_SCRAM_512,
  SASL_OAUTHBEARER
} sasl_mechanism;

extern const char *const tsh_sasl__names[];

/* Credentials, unchanging and counted: what a login holds at a time. */
typedef struct tsh_creds {
  atomic_int refs;
  SSL_CTX *tls; /* NULL: none */
  bool any_host;
  sasl_mechanism mechanism;
  char *user;
  tsh_secret *password;
  char **command;
} tsh_creds;

tsh_creds *tsh_login__creds(tsh_login *login);
void tsh_creds__release(tsh_creds *creds); /* NULL is fine */

/* tls_context.c: PEM texts to what connections are made from. */
int tsh_tls__context(SSL_CTX **out, const tsh_login_spec *spec, tsh_err *err);

#endif
