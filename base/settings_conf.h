/*
 * The schema of chancery.yaml; only settings.c includes this.
 */
#ifndef BASE_SETTINGS_CONF_H
#define BASE_SETTINGS_CONF_H

#include "base/settings.h"

struct cyaml_schema_value;

/* The schema of struct settings. */
const struct cyaml_schema_value *settings_conf_schema(void);

#endif
