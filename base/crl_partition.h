/*
 * Partitioned CRLs: which partition a certificate belongs to, and the URL
 * that says so.  The certificate carries the URL from the day it is issued, so
 * this must not change.
 */
#ifndef BASE_CRL_PARTITION_H
#define BASE_CRL_PARTITION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/span.h"

/* What stands for the number in a URL. */
#define CRL_PARTITION_MARK "{partition}"

#define CRL_PARTITIONS_MAX 4096

/*
 * The partition, 0 to n - 1, of a certificate: the last eight octets of its
 * serial (INTEGER contents; all of them when there are fewer) as an unsigned
 * number, modulo 'n'.  Our serials are random there, so the partitions are of
 * one size.  0 when 'n' is 0: there is only one list.
 */
uint32_t crl_partition_of(struct span serial, uint32_t n);

/* Whether the URL has the mark. */
bool crl_partition_marked(const char *url);

/* The URL of a partition; 'url' itself when it has no mark. */
const char *crl_partition_url(
    struct arena *a, const char *url, uint32_t partition);

/* Whether 'got' is exactly what crl_partition_url makes. */
bool crl_partition_url_is(const char *url, uint32_t partition, struct span got);

#endif
