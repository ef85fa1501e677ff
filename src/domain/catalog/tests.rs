mod attacks;
mod documents;
mod fixture;
mod roots;
mod succession;
mod tuf;
