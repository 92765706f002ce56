"""Fills a moto server: secrets, and a user who may read them. Prints the user's access key as JSON.

usage: moto_setup.py URL '{"name": "text", ...}'
"""
import json
import sys

import boto3


def client(service):
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
    return boto3.client(service, endpoint_url=sys.argv[1], region_name="us-east-1", **keys)


for name, text in json.loads(sys.argv[2]).items():
    client("secretsmanager").create_secret(Name=name, SecretString=text)
iam = client("iam")
iam.create_user(UserName="gateway")
allowed = {"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"}
policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
iam.put_user_policy(UserName="gateway", PolicyName="read", PolicyDocument=policy)
key = iam.create_access_key(UserName="gateway")["AccessKey"]
print(json.dumps({"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}))
