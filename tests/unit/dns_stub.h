/*
 * A DNS server for tests, on a free UDP port of 127.0.0.1.  It answers by the
 * first label: "a" 127.0.0.1, "aaaa" ::1, "mixed" 127.0.0.1 and 10.0.0.1,
 * "fail" SERVFAIL, "silent" nothing at all, anything else NXDOMAIN.
 */
#ifndef TESTS_UNIT_DNS_STUB_H
#define TESTS_UNIT_DNS_STUB_H

/* Starts the server; 'server' becomes "127.0.0.1@port". */
void dns_stub_start(char server[32]);

/* Ends it. */
void dns_stub_stop(void);

#endif
