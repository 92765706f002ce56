"""Schedules the deletion of a secret on a moto server, as the user whose access key is given as JSON.

usage: moto_delete.py URL '{"access_key_id": ..., "secret_access_key": ...}' NAME
"""
import json
import sys

import boto3


account = json.loads(sys.argv[2])
keys = {"aws_access_key_id": account["access_key_id"], "aws_secret_access_key": account["secret_access_key"]}
secrets = boto3.client("secretsmanager", endpoint_url=sys.argv[1], region_name="us-east-1", **keys)
secrets.delete_secret(SecretId=sys.argv[3], RecoveryWindowInDays=7)
