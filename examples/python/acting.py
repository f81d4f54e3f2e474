"""An example: an application in Python that reads for its users through Sallyport, with psycopg 3 or SQLAlchemy. Copy what you need.

The application has one role in the database and a pool of connections. Who is logged in at the application has an assertion, a signed
token of the identity provider's or one that the application signs itself; each transaction that is his takes one of its own.
"""

from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import quote as urlquote


def quote(text):
    return "'" + text.replace("'", "''") + "'"


def settings(assertion, purpose):
    """What a transaction begins with. SET takes no parameters, so the texts are quoted here."""
    return [
        "SET LOCAL sallyport.actor = " + quote(assertion),
        "SET LOCAL sallyport.purpose = " + quote(purpose),
    ]


def comment(sql, assertion, purpose):
    """Both at the end of one statement, in the form of sqlcommenter: for statements without a transaction around them."""
    return "%s /*sallyport_actor='%s',sallyport_purpose='%s'*/" % (sql, urlquote(assertion, safe=""), urlquote(purpose, safe=""))


# psycopg 3 ----------------------------------------------------------------------------------------------------------------------


@contextmanager
def acting(conn, assertion, purpose):
    """One transaction of a psycopg connection that is a person's; what it raises rolls it back.

    with acting(conn, assertion, "ticket:4711"):
        conn.execute("SELECT …")
    """
    with conn.transaction():
        for statement in settings(assertion, purpose):
            conn.execute(statement, prepare=False)
        yield conn


# SQLAlchemy ---------------------------------------------------------------------------------------------------------------------

current = ContextVar("sallyport", default=None)


@contextmanager
def on_behalf(assertion, purpose):
    """Everything that begins a transaction inside is that person's: set it where a request comes in.

    An assertion is good for one transaction. A request that needs several gets a new one for each.
    """
    token = current.set((assertion, purpose))
    try:
        yield
    finally:
        current.reset(token)


def install(engine):
    """Has every transaction of an engine begin with whose it is. Without on_behalf it is the application's own."""
    from sqlalchemy import event

    @event.listens_for(engine, "begin")
    def begin(connection):
        if current.get() is not None:
            for statement in settings(*current.get()):
                connection.exec_driver_sql(statement)
