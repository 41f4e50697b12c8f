/*
 * sites.c - the whole library and no model: --sites lists every operation that there is.
 */
#include "model/model.h"

int main(int argc, char **argv)
{
    return model_main(argc, argv, NULL, 0);
}
