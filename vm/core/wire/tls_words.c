/* Why TLS fails, in words that say whose fault it is and what to look at; and
 * what the broker's certificate says where it does not. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "conn_int.h"

enum { ROOM = 128 };

typedef struct words {
  char *at;
  size_t size;
} words;

__attribute__((format(printf, 2, 3))) static void say(words *to,
                                                      const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(to->at, to->size, format, args);
  va_end(args);
}

static void name_of(const X509_NAME *name, char *out) {
  BIO *bio = BIO_new(BIO_s_mem());
  int n = 0;
  if (bio && name && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0)
    n = BIO_read(bio, out, ROOM - 1);
  out[n > 0 ? n : 0] = '\0';
  BIO_free(bio);
}

static void time_of(const ASN1_TIME *when, char *out) {
  BIO *bio = BIO_new(BIO_s_mem());
  int n = 0;
  if (bio && when && ASN1_TIME_print_ex(bio, when, ASN1_DTFLGS_ISO8601) == 1)
    n = BIO_read(bio, out, ROOM - 1);
  out[n > 0 ? n : 0] = '\0';
  BIO_free(bio);
}

/* The names and addresses that a certificate is for. */
static void hosts_of(X509 *cert, char *out) {
  GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, 0, NULL);
  size_t size = 0;
  out[0] = '\0';
  for (int i = 0; i < sk_GENERAL_NAME_num(names) && size < ROOM - 1; i++) {
    const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);
    char address[64] = "";
    const char *text = address;
    int length = -1;
    if (one->type == GEN_DNS) {
      text = (const char *)ASN1_STRING_get0_data(one->d.dNSName);
      length = ASN1_STRING_length(one->d.dNSName);
    } else if (one->type == GEN_IPADD) {
      const unsigned char *ip = ASN1_STRING_get0_data(one->d.iPAddress);
      int bytes = ASN1_STRING_length(one->d.iPAddress);
      if (bytes != 4 && bytes != 16)
        continue;
      uv_inet_ntop(bytes == 16 ? AF_INET6 : AF_INET, ip, address,
                   sizeof address);
    } else {
      continue;
    }
    int n = snprintf(out + size, ROOM - size, "%s%.*s", size ? ", " : "",
                     length < 0 ? (int)strlen(text) : length, text);
    size += n > 0 ? (size_t)n : 0;
  }
  GENERAL_NAMES_free(names);
}

/* Milliseconds since 1970; 0 for what is no time. */
static int64_t ms_of(const ASN1_TIME *when) {
  struct tm tm;

  if (ASN1_TIME_to_tm(when, &tm) != 1)
    return 0;
  return (int64_t)timegm(&tm) * 1000;
}

bool tsh_conn_peer(const tsh_conn *conn, tsh_peer *out) {
  SSL *ssl = conn->tls != NULL ? tsh_tls__opened(conn) : NULL;
  X509 *cert = ssl != NULL ? SSL_get1_peer_certificate(ssl) : NULL;

  if (cert == NULL)
    return false;
  name_of(X509_get_subject_name(cert), out->subject);
  name_of(X509_get_issuer_name(cert), out->issuer);
  hosts_of(cert, out->hosts);
  out->expires_ms = ms_of(X509_get0_notAfter(cert));
  X509_free(cert);
  return true;
}

/* The certificate that the broker shows does not hold. */
static void judge_peer(words *to, const tsh_conn *conn, SSL *ssl, long why) {
  char subject[ROOM] = "", issuer[ROOM] = "", more[ROOM] = "";
  STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
  X509 *cert = sk_X509_num(chain) > 0 ? sk_X509_value(chain, 0) : NULL;
  if (cert) {
    name_of(X509_get_subject_name(cert), subject);
    name_of(X509_get_issuer_name(cert), issuer);
  }
  switch (why) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      time_of(cert ? X509_get0_notAfter(cert) : NULL, more);
      say(to, "the broker's certificate (%s) has expired, on %s", subject,
          more);
      return;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      time_of(cert ? X509_get0_notBefore(cert) : NULL, more);
      say(to, "the broker's certificate (%s) holds from %s on only", subject,
          more);
      return;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      if (cert)
        hosts_of(cert, more);
      say(to, "the broker's certificate (%s) is not for %s but for: %s",
          subject, conn->options.host, *more ? more : "no host at all");
      return;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      say(to,
          "the broker's certificate (%s) is signed by an authority that "
          "is not in ca: %s",
          subject, issuer);
      return;
    default:
      say(to, "the broker's certificate (%s) does not hold: %s", subject,
          X509_verify_cert_error_string(why));
  }
}

/* An alert: what the broker thinks of our certificate. */
static void judge_us(words *to, SSL *ssl, const char *reason) {
  char subject[ROOM], until[ROOM];
  X509 *cert = SSL_get_certificate(ssl);
  if (!cert) {
    say(to,
        "it wants a client certificate, and the login has none "
        "(%s)",
        reason);
    return;
  }
  name_of(X509_get_subject_name(cert), subject);
  time_of(X509_get0_notAfter(cert), until);
  if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
    say(to, "the broker refuses our certificate (%s): it expired on %s",
        subject, until);
  else
    say(to, "the broker refuses our certificate (%s, good until %s): %s",
        subject, until, reason);
}

/* With TLS 1.3 a broker judges our certificate after the handshake, and its
 * verdict can be lost with the connection. */
bool tsh_tls__blames_us(const tsh_conn *conn, SSL *ssl, char *out,
                        size_t size) {
  char subject[ROOM], until[ROOM];
  words to = {out, size};
  X509 *cert = SSL_get_certificate(ssl);
  if (!tsh_tls__is_asked(conn))
    return false;
  if (!cert) {
    say(&to, "; it wants a client certificate, and the login has none");
    return true;
  }
  name_of(X509_get_subject_name(cert), subject);
  time_of(X509_get0_notAfter(cert), until);
  bool expired = X509_cmp_current_time(X509_get0_notAfter(cert)) < 0;
  if (expired)
    say(&to, "; our certificate (%s) expired on %s", subject, until);
  else
    say(&to, "; it may not like our certificate (%s, good until %s)", subject,
        until);
  return expired;
}

static bool is_about_us(int reason) {
  switch (reason) {
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      return true;
    default:
      return false;
  }
}

tsh_kind tsh_tls__explain(const tsh_conn *conn, SSL *ssl, bool opened,
                          char *out, size_t size) {
  words to = {out, size};
  unsigned long code = ERR_peek_error();
  int reason = ERR_GET_REASON(code);
  const char *text = code ? ERR_reason_error_string(code) : NULL;
  long verdict = SSL_get_verify_result(ssl);
  tsh_kind kind = TSH_AUTH;
  if (!opened && verdict != X509_V_OK &&
      reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    judge_peer(&to, conn, ssl, verdict);
  } else if (is_about_us(reason) ||
             (!SSL_get_certificate(ssl) &&
              reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE)) {
    judge_us(&to, ssl, text ? text : "no reason given");
  } else if (!opened && (reason == SSL_R_WRONG_VERSION_NUMBER ||
                         reason == SSL_R_HTTP_REQUEST)) {
    say(&to, "what listens there does not speak TLS");
  } else {
    kind = opened ? TSH_UNAVAILABLE : TSH_AUTH;
    say(&to, "TLS: %s", text ? text : "broken off");
  }
  ERR_clear_error();
  return kind;
}
