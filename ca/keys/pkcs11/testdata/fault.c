// A PKCS #11 module that forwards to another one (REAL) and misbehaves as the
// file CONTROL says, one "NAME VALUE" a line, read at each call:
//
//   C_Name RV        the function returns RV instead of forwarding
//   sessions N       no more than N open sessions
//   flags F          bits added to CK_TOKEN_INFO.flags
//   max N            CK_TOKEN_INFO.ulMaxSessionCount
//   readonly 1       no read/write sessions
//   drop N           sessions opened under another N answer "drop-rv RV"
//   dead N           every token is gone until C_Initialize is called under N
//   stuck 1          C_Sign does not return until this is 0
//   slow 1           C_Sign takes 3 ms more
//
// It appends the name of each C_Login, C_Initialize and stuck C_Sign to the file
// COUNTS.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <pthread.h>

#include "pkcs11go.h"

static CK_FUNCTION_LIST mine, *real;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { CK_SESSION_HANDLE handle; unsigned long drop; } opened[4096];
static int sessions;
static unsigned long alive;

static int setting(const char *name, unsigned long *value)
{
	char key[64], text[64];
	int found = 0;
	FILE *f = fopen(CONTROL, "r");
	if (f == NULL)
		return 0;
	while (fscanf(f, "%63s %63s", key, text) == 2)
		if (strcmp(key, name) == 0) {
			*value = strtoul(text, NULL, 0);
			found = 1;
		}
	fclose(f);
	return found;
}

static unsigned long number(const char *name)
{
	unsigned long value = 0;
	setting(name, &value);
	return value;
}

static void count(const char *name)
{
	FILE *f = fopen(COUNTS, "a");
	if (f == NULL)
		abort();
	fprintf(f, "%s\n", name);
	fclose(f);
}

static CK_RV lost(CK_SESSION_HANDLE session)
{
	unsigned long drop = number("drop");
	CK_RV rv = CKR_OK;
	pthread_mutex_lock(&lock);
	for (int i = 0; i < sessions; i++)
		if (opened[i].handle == session && opened[i].drop != drop)
			rv = number("drop-rv");
	pthread_mutex_unlock(&lock);
	return rv;
}

#define FAULT(name) do { unsigned long rv; if (setting(#name, &rv) && rv != CKR_OK) return rv; } while (0)

static CK_RV initialize(CK_VOID_PTR args)
{
	count("C_Initialize");
	FAULT(C_Initialize);
	sessions = 0;
	alive = number("dead");
	return real->C_Initialize(args);
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	count("C_Login");
	FAULT(C_Login);
	return real->C_Login(session, user, pin, length);
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify, CK_SESSION_HANDLE_PTR session)
{
	unsigned long limit, drop = number("drop");
	CK_RV rv = CKR_SESSION_COUNT;
	if (number("dead") != alive)
		return CKR_DEVICE_ERROR;
	FAULT(C_OpenSession);
	if (number("readonly") && (flags & CKF_RW_SESSION))
		return CKR_TOKEN_WRITE_PROTECTED;
	pthread_mutex_lock(&lock);
	if (sessions < 4096 && (!setting("sessions", &limit) || (unsigned long)sessions < limit)) {
		rv = real->C_OpenSession(slot, flags, application, notify, session);
		if (rv == CKR_OK) {
			opened[sessions].handle = *session;
			opened[sessions++].drop = drop;
		}
	}
	pthread_mutex_unlock(&lock);
	return rv;
}

static CK_RV close_session(CK_SESSION_HANDLE session)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < sessions; i++)
		if (opened[i].handle == session) {
			opened[i] = opened[--sessions];
			break;
		}
	pthread_mutex_unlock(&lock);
	return real->C_CloseSession(session);
}

static CK_RV token_info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info)
{
	unsigned long max;
	FAULT(C_GetTokenInfo);
	CK_RV rv = real->C_GetTokenInfo(slot, info);
	info->flags |= number("flags");
	if (setting("max", &max))
		info->ulMaxSessionCount = max;
	return rv;
}

static CK_RV generate(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_ATTRIBUTE_PTR public, CK_ULONG public_count,
	CK_ATTRIBUTE_PTR private, CK_ULONG private_count, CK_OBJECT_HANDLE_PTR public_key, CK_OBJECT_HANDLE_PTR private_key)
{
	FAULT(C_GenerateKeyPair);
	return real->C_GenerateKeyPair(session, mechanism, public, public_count, private, private_count, public_key, private_key);
}

static CK_RV sign_init(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	CK_RV rv = lost(session);
	if (rv != CKR_OK)
		return rv;
	if (number("dead") != alive)
		return CKR_DEVICE_ERROR;
	FAULT(C_SignInit);
	return real->C_SignInit(session, mechanism, key);
}

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR signature, CK_ULONG_PTR signature_length)
{
	if (number("stuck") && signature == NULL)
		count("C_Sign");
	while (number("stuck"))
		usleep(5000);
	if (number("slow"))
		usleep(3000);
	FAULT(C_Sign);
	return real->C_Sign(session, data, length, signature, signature_length);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	void *library = dlopen(REAL, RTLD_NOW);
	CK_C_GetFunctionList get = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : NULL;
	if (get == NULL || get(&real) != CKR_OK)
		return CKR_GENERAL_ERROR;
	mine = *real;
	mine.C_GetFunctionList = C_GetFunctionList;
	mine.C_Initialize = initialize;
	mine.C_Login = login;
	mine.C_OpenSession = open_session;
	mine.C_CloseSession = close_session;
	mine.C_GetTokenInfo = token_info;
	mine.C_GenerateKeyPair = generate;
	mine.C_SignInit = sign_init;
	mine.C_Sign = sign;
	*list = &mine;
	return CKR_OK;
}
