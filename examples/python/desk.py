"""Reads one customer for each line of standard input, {"way": …, "assertion": …, "purpose": …, "customer": …}, and prints what it got.

Ways: psycopg, comment, sqlalchemy, or none for the application itself. All go over one connection each, one after the other.
    DESK_DSN=postgresql://desk:…@127.0.0.1:6432/support python3 desk.py < people.jsonl
"""

import json
import os
import sys
from contextlib import nullcontext

import psycopg
import sqlalchemy
from sqlalchemy import pool, text

import acting

SQL = "SELECT email FROM support.customers WHERE id = %s"


def main():
    dsn = os.environ["DESK_DSN"]
    conn = psycopg.connect(dsn, autocommit=True)
    dialect = "postgresql+psycopg" if sqlalchemy.__version__ >= "2" else "postgresql+psycopg2"
    engine = sqlalchemy.create_engine(dsn.replace("postgresql", dialect, 1), poolclass=pool.QueuePool, pool_size=1, max_overflow=0)
    acting.install(engine)

    def ask(way, assertion, purpose, customer):
        if way == "psycopg":
            with acting.acting(conn, assertion, purpose):
                return conn.execute(SQL, (customer,)).fetchone()[0]
        if way == "comment":
            statement = acting.comment("SELECT email FROM support.customers WHERE id = %d" % customer, assertion, purpose)
            return conn.execute(statement, prepare=False).fetchone()[0]
        if way == "none":
            return conn.execute(SQL, (customer,)).fetchone()[0]
        with acting.on_behalf(assertion, purpose) if way == "sqlalchemy" else nullcontext(), engine.begin() as connection:
            return connection.execute(text("SELECT email FROM support.customers WHERE id = :id"), {"id": customer}).scalar_one()

    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = {"email": ask(question["way"], question.get("assertion"), question.get("purpose"), question["customer"])}
        except (psycopg.Error, sqlalchemy.exc.DBAPIError) as error:
            origin = getattr(error, "orig", None) or error
            answer = {"error": getattr(origin, "sqlstate", None) or getattr(origin, "pgcode", None)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
